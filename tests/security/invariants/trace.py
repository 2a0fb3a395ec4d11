"""Reads what strace -f -y wrote: processes, each with its system calls."""

import re

LINE = re.compile(r"^(\d+) +(.*)$")
CALL = re.compile(r"^(\w+)\((.*)\)\s+= (.*)$", re.S)
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.S)
UNFINISHED = re.compile(r"^(\w+)\((.*?)\s*<unfinished \.\.\.>$", re.S)
CLOSERS = {"(": ")", "[": "]", "{": "}"}
FORKS = {"clone", "clone3", "fork", "vfork"}


def split(text):
    """The arguments of a call; commas in strings and brackets are theirs."""
    parts, start, depth, i = [], 0, [], 0
    while i < len(text):
        char = text[i]
        if char == '"':
            i += 1
            while i < len(text) and text[i] != '"':
                i += 2 if text[i] == "\\" else 1
        elif char == "<" and i and (text[i - 1].isalnum()):
            # "4</dev/null>": what stands for the number's file.
            end = re.compile(r">(?=[,\]} )]|$)").search(text, i)
            i = end.start() if end else i
        elif char in CLOSERS:
            depth.append(CLOSERS[char])
        elif depth and char == depth[-1]:
            depth.pop()
        elif char == "," and not depth:
            parts.append(text[start:i].strip())
            start = i + 1
        i += 1
    if text[start:].strip():
        parts.append(text[start:].strip())
    return parts


class Call:
    def __init__(self, pid, name, text, result):
        self.pid = pid
        self.name = name
        self.args = split(text)
        self.result = result

    def arg(self, index):
        return self.args[index] if index < len(self.args) else ""

    def number(self):
        """Its result; -1 for an error, None when there is none."""
        found = re.match(r"-?\d+", self.result)
        return int(found.group()) if found else None

    def ok(self):
        number = self.number()
        return number is not None and number >= 0

    def fd(self, index):
        """Number of the fd that is an argument; None for AT_FDCWD."""
        found = re.match(r"\d+", self.arg(index))
        return int(found.group()) if found else None

    def string(self, index):
        """An argument that is a string; None when it isn't one."""
        found = re.match(r'"((?:[^"\\]|\\.)*)"', self.arg(index))
        return found.group(1) if found else None

    def __str__(self):
        return f"{self.pid} {self.name}({', '.join(self.args)}) = {self.result}"


class Process:
    def __init__(self, pid):
        self.pid = pid
        self.calls = []
        self.maker = None  # the process that forked it
        self.fork = None   # the call that did
        self.children = []


class Trace:
    """All processes, in the order of their first calls."""

    def __init__(self, path):
        self.processes = []
        self.alive = {}
        self.ended = {}
        self.open = {}
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                self.read(line.rstrip("\n"))

    def process(self, pid):
        if pid not in self.alive:
            self.alive[pid] = Process(pid)
            self.processes.append(self.alive[pid])
        return self.alive[pid]

    def read(self, line):
        found = LINE.match(line)
        if not found:
            return
        pid, text = int(found.group(1)), found.group(2)
        if text.startswith("+++"):
            # Numbers are used again.
            if "superseded" not in text and pid in self.alive:
                process = self.alive.pop(pid)
                if process.pid == pid:
                    self.ended[pid] = process
            return
        unfinished = UNFINISHED.match(text)
        if unfinished:
            self.open[pid] = unfinished.groups()
            return
        resumed = RESUMED.match(text)
        if resumed:
            name, begin = self.open.pop(pid, (resumed.group(1), ""))
            text = f"{name}({begin}{resumed.group(2)}"
        call = CALL.match(text)
        if call:
            self.add(Call(pid, *call.groups()))

    def add(self, call):
        process = self.process(call.pid)
        process.calls.append(call)
        if call.name not in FORKS or not call.ok():
            return
        if "CLONE_THREAD" in str(call):
            self.join(process, call.number())
        else:
            self.link(process, call)

    def join(self, process, thread):
        """A thread's calls are its process's."""
        early = self.alive.get(thread)
        if early is not None and early is not process:
            process.calls += early.calls
            self.processes.remove(early)
        self.alive[thread] = process

    def link(self, maker, call):
        pid = call.number()
        child = self.alive.get(pid)
        if child is None and pid in self.ended and self.ended[pid].fork is None:
            child = self.ended[pid]  # quicker than its maker
        child = child or self.process(pid)
        child.maker, child.fork = maker, call
        maker.children.append(child)
