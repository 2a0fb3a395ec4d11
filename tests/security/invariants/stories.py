"""What each stage did, from the fork by its keeper to the program it became.

A stage is a child of a keeper.  Most go on as another process, made with
CLONE_PARENT: its story is theirs together, in phases:

  host    in the mounts of the host or the keepers
  stage   in a copy of the stage (runtime/keeper/stage.h)
  inside  with the container's own root
"""

STOPS = ("execve", "execveat")


class Story:
    def __init__(self, process):
        self.pid = process.pid
        self.keeper = process.maker.pid
        self.keepers_calls = process.maker.calls
        self.calls = []
        self.program = None  # the call that became it
        while process is not None:
            process = self.take(process)
        self.kind = self.find_kind()
        self.phases = list(self.find_phases())

    def take(self, process):
        """Adds its calls; the process that it goes on as."""
        for call in process.calls:
            if call.name in STOPS and call.ok():
                self.program = call
                return None
            self.calls.append(call)
            if call.name == "clone3" and call.ok() and \
                    "CLONE_PARENT" in call.args[0]:
                for child in process.children:
                    if child.fork is call:
                        return child
        return None

    def find_kind(self):
        def has(name, *parts):
            return any(call.name == name and
                       all(part in " ".join(call.args) for part in parts)
                       for call in self.calls)
        # Programs get what they read from a memfd.
        if has("memfd_create") and not has("fsopen", '"overlay"'):
            return "hooks"
        # One that failed early has looked at its sources or at the devices.
        if has("fsopen", '"overlay"', "CLOEXEC") or has("setns", "CLONE_NEWNS") \
                and (has("open_tree", "OPEN_TREE_CLONE", '"/dev/null"') or
                     has("openat", '"/proc/self/mountinfo"')):
            return "container"
        if has("setns", "CLONE_NEWCGROUP"):
            return "exec"
        if has("setns", "CLONE_NEWNS"):
            return "pod-init"
        if has("unshare"):
            return "holder"
        return "unknown"

    def find_phases(self):
        """The phase in which each call was made."""
        phase, entered = "host", 0
        for call in self.calls:
            yield phase
            if not call.ok():
                continue
            if call.name == "setns" and "CLONE_NEWNS" in call.args[1]:
                entered += 1
                if self.kind == "exec":
                    phase = "inside"
                # A container's first goes back to the host's mounts.
                elif self.kind == "pod-init" or entered == 2:
                    phase = "stage"
            elif call.name == "pivot_root":
                phase = "inside"

    def __iter__(self):
        return iter(zip(self.phases, self.calls))

    def __str__(self):
        return f"{self.kind} of {self.pid}"


def keepers_of(trace, server):
    """The fork server's children, which are forked and not cloned."""
    return [process for process in trace.processes
            if process.maker is not None and process.maker.pid == server]


def stories_of(trace, server):
    return [Story(child) for keeper in keepers_of(trace, server)
            for child in keeper.children
            if "CLONE_PARENT" not in child.fork.args[0]]
