"""The invariants that a trace of keepers and pullers can show.

Each is a function of stories (or of a trace) that yields what contradicts it,
and takes a counter of what it looked at: looking at nothing is no proof.
"""

import collections
import re

from paths import ALLOWED, PATHS, complaint

CREDENTIALS = {"setresuid", "setresgid", "setreuid", "setregid", "setuid",
               "setgid", "setfsuid", "setfsgid"}
LOADED = re.compile(r"\.so(\.|$)|nsswitch|/etc/(passwd|group|ld\.so|hosts)|"
                    r"/locale|gconv|/usr/")
KNOB = re.compile(r"(?:^|/)(uid_map|gid_map|setgroups|oom_score_adj|loginuid|"
                  r"timens_offsets|attr|sys)(/|$)")
OF_PROCFS = re.compile(r"(self|thread-self|\d+)/|sys/(kernel|net|fs)/")


def paths_start_at_fds(stories, seen):
    """1, 2, 4: no path from nowhere between the namespaces and the program."""
    for story in stories:
        for phase, call in story:
            wrong = complaint(story, phase, call)
            seen["calls with a path"] += call.name in PATHS
            if wrong:
                yield f"{story}, {phase}: {wrong}: {call}"


def allowances_are_used(_, seen):
    """1: what nobody needs is not allowed."""
    for allowed in ALLOWED:
        seen["allowances"] += 1
        if not allowed.used:
            yield (f"nobody needed: {allowed.kinds} {allowed.phase} "
                   f"{allowed.calls} {allowed.path.pattern}")


def sources_come_first(stories, seen):
    """3: sources are taken before the first mount of a root."""
    seen["sources"] = 0
    for story in stories:
        if story.kind != "container":
            continue
        rooted = False
        for phase, call in story:
            rooted = rooted or call.name == "move_mount" or \
                call.name == "fsopen" and call.string(0) == "overlay"
            if call.name != "open_tree" or call.fd(0) is not None:
                continue
            seen["sources"] += phase == "host"
            # What hooks mounted waits in the stage.
            if (rooted or phase != "host") and \
                    not re.fullmatch(r"\.|/proc|/sys|/h[df]\d+", call.string(1)):
                yield f"{story}: takes a source late: {call}"


def no_procfs_by_path(stories, seen):
    """4: below /proc nothing is opened by path once a namespace is entered."""
    for story in stories:
        entered = False
        for phase, call in story:
            entered = entered or call.name in ("setns", "unshare")
            seen["calls"] += 1
            if phase == "host" and call.string(1) == "/proc/self/mountinfo":
                continue  # of the host's mounts, to find a volume's
            # A holder takes its procfs for sysctls; see knobs_start_at_a_procfs.
            if entered and story.kind != "holder" and \
                    call.name in ("open", "openat") and \
                    call.fd(0) is None and \
                    (call.string(1) or "").startswith("/proc/"):
                yield f"{story}: {call}"


def handle_of(calls, at):
    """The call that opened the directory of calls[at], and its first use."""
    fd = calls[at].fd(0)
    for i in range(at - 1, -1, -1):
        if calls[i].name in ("open", "openat", "openat2") and \
                calls[i].number() == fd:
            return calls[i], next(uses_of(calls, i, fd))
    return None, None


def knobs_start_at_a_procfs(stories, seen):
    """4, B15: what is written to a procfs is never opened by an absolute path,
    and always below a handle that was seen to be a procfs."""
    seen.update(dict.fromkeys(("oom_score_adj", "uid_map", "gid_map", "sys"),
                              0))
    lists = [story.calls for story in stories]
    lists += {id(story.keepers_calls): story.keepers_calls
              for story in stories}.values()
    for calls in lists:
        for i, call in enumerate(calls):
            if call.name not in ("open", "openat", "openat2"):
                continue
            directory, index = PATHS[call.name][0]
            fd = None if directory is None else call.fd(directory)
            path = call.string(index) or ""
            if fd is None and path.startswith("/proc/") and KNOB.search(path):
                yield f"by an absolute path: {call}"
            knob = KNOB.search(path) if OF_PROCFS.match(path) else None
            if fd is None or knob is None:
                continue
            seen[knob.group(1)] += 1
            opened, used = handle_of(calls, i)
            if opened is None or opened.string(1) != "/proc" or \
                    used.name != "fstatfs" or "PROC_SUPER_MAGIC" not in \
                    str(used):
                yield f"not below a procfs that was looked at: {call}"


def uses_of(calls, start, fd):
    """Calls on an fd, from where it was opened to where it is closed."""
    for call in calls[start + 1:]:
        if call.args and call.fd(0) == fd:
            yield call
        if call.name in ("open", "openat", "openat2", "open_tree") and \
                call.number() == fd:
            return


def special_files_are_checked(stories, seen):
    """5: the null device and the multiplexer are checked on the fd used."""
    seen.update(dict.fromkeys(("null devices", "multiplexers", "devices"), 0))
    for story in stories:
        for i, call in enumerate(story.calls):
            if not call.ok() or call.name not in ("openat2", "open_tree"):
                continue
            uses = list(uses_of(story.calls, i, call.number()))
            path = call.string(1)
            if call.name == "openat2" and path == "/dev/null":
                seen["null devices"] += 1
                # What is another file is looked at and not used.
                is_null = uses and "makedev(0x1, 0x3)" in str(uses[0])
                handle = str(call).rsplit("= ", 1)[-1].strip()
                refused = uses and "st_mode=" in str(uses[0]) and not any(
                    handle in str(use) for use in uses[1:])
                if not is_null and not refused:
                    yield f"{story}: not checked: {call}"
            elif path == "/dev/pts/ptmx":
                seen["multiplexers"] += 1
                names = [use.name for use in uses[:2]]
                if names != ["fstatfs", "newfstatat"] or \
                        "makedev(0x5, 0x2)" not in str(uses[1]) or \
                        "DEVPTS" not in str(uses[0]):
                    yield f"{story}: not checked: {call}"
            elif call.name == "open_tree" and path and call.fd(0) is None and \
                    path.startswith("/dev/"):
                seen["devices"] += 1
                if not uses or uses[0].name != "newfstatat":
                    yield f"{story}: not checked: {call}"


def signature(story):
    """The steps of becoming the program, as the kernel saw them."""
    names = []
    for call in story.calls:
        if call.name == "close_range":
            names = []
        name = call.name
        if name == "prctl":
            name = call.args[0]
        if name not in ("write", "ioctl", "geteuid", "getegid", "execve") \
                and not name.startswith(("PR_CAPBSET_READ", "PR_CAPBSET_DROP")) \
                and "PR_CAP_AMBIENT_IS_SET" not in str(call) \
                and "PR_CAP_AMBIENT_RAISE" not in str(call) \
                and not (names and names[-1] == name):
            names.append(name)
    return tuple(names)


def start_and_exec_are_one(stories, seen):
    """8: an exec does what the init of a container of its pod did."""
    starts = collections.defaultdict(set)
    for story in stories:
        if story.kind == "container" and story.program:
            starts[story.keeper].add(signature(story))
    for story in stories:
        if story.kind != "exec" or not story.program:
            continue
        seen["execs"] += 1
        if signature(story) not in starts[story.keeper]:
            yield f"{story}: no container was started so: {signature(story)}"
    for name in ("close_range", "setgroups", "setresuid", "capset", "capget",
                 "PR_SET_NO_NEW_PRIVS", "seccomp"):
        seen["steps"] += 1
        if not any(name in each for one in starts.values() for each in one):
            yield f"no container was started with {name}"


def files_are_closed(stories, seen):
    """9: closed, not marked, and nothing is opened afterwards."""
    for story in stories:
        if story.program is None:
            continue
        seen["programs"] += 1
        closed, opened = False, []
        for call in story.calls:
            if call.name == "close_range" and call.ok():
                # Once more after hooks of the start.
                if call.fd(0) <= 5 and call.args[2] == "0" and \
                        int(call.args[1]) == 2**32 - 1:
                    closed, opened = True, []
            elif closed and re.match("open|memfd|fsopen|fsmount|clone",
                                     call.name):
                opened.append(call)
        for call in opened:
            yield f"{story}: opened after all was closed: {call}"
        if not closed:
            yield f"{story}: its files were not closed"


def nothing_is_loaded(stories, seen):
    """10: a stage opens no library, database of users or locale."""
    for story in stories:
        for _, call in story:
            seen["calls"] += 1
            path = call.string(1) if call.name.startswith("openat") else None
            if path and call.fd(0) is None and LOADED.search(path):
                yield f"{story}: {call}"


def changes_credentials(call):
    if call.name in ("setfsuid", "setfsgid"):
        return call.args[0] != call.result.split()[0]
    return call.name in CREDENTIALS or \
        call.name in ("setns", "unshare") and "CLONE_NEWUSER" in str(call)


def nobody_may_trace(stories, seen):
    """11: dumping is forbidden before the first namespace, and again after
    each change of credentials, whatever fs.suid_dumpable says."""
    for story in stories:
        forbidden = story.kind == "holder"  # by its keeper, see forbid() there
        pending = None
        for call in story.calls:
            if "PR_SET_DUMPABLE" in str(call):
                forbidden = "SUID_DUMP_DISABLE" in str(call) and call.ok()
                pending = None
                continue
            if pending is not None and not \
                    call.name.startswith(("setfs", "gete")):
                yield f"{story}: may be traced from {pending} on"
                pending = None
            if call.name in ("setns", "unshare") and not forbidden:
                yield f"{story}: may be traced when it does {call}"
            if call.ok() and changes_credentials(call):
                seen["changes"] += 1
                pending = pending or call
        if pending is not None:
            yield f"{story}: may be traced from {pending} on"


def filters_are_last(stories, seen):
    """6, 8: what was set is read back, and the filter comes last."""
    for story in stories:
        if story.program is None:
            continue
        seen["programs"] += 1
        names = [call.args[0] if call.name == "prctl" else call.name
                 for call in story.calls]
        if "PR_SET_NO_NEW_PRIVS" not in names and "seccomp" in names:
            # Around the filter it takes and drops the right to load it.
            names = names[:names.index("seccomp") - 1]
        needed = ["capset", "getresuid", "getresgid", "getgroups", "capget",
                  "PR_GET_NO_NEW_PRIVS"]
        at = [len(names) - 1 - names[::-1].index(name) if name in names else -1
              for name in needed]
        if -1 in at or at != sorted(at):
            yield f"{story}: not read back in order: {dict(zip(needed, at))}"
        elif "PR_SET_NO_NEW_PRIVS" in names and "seccomp" in names and \
                names.index("seccomp") < at[-1]:
            yield f"{story}: its filter is not the last"


KEEPERS = {
    1: [paths_start_at_fds, allowances_are_used],
    3: [sources_come_first],
    4: [no_procfs_by_path, knobs_start_at_a_procfs],
    5: [special_files_are_checked],
    6: [filters_are_last],
    8: [start_and_exec_are_one],
    9: [files_are_closed],
    10: [nothing_is_loaded],
    11: [nobody_may_trace],
}
