"""What pullers do with files: write those they were handed, and no others."""

import re

# Makes or changes a name, or what a name stands for.
NAMES = re.compile(
    r"^(mkdir|mknod|symlink|link|rename|unlink|rmdir|l?chown|chmod|fchown|"
    r"fchmod|truncate|mount|umount2|pivot_root|chroot|chdir|fchdir|open_tree|"
    r"move_mount|fsopen|l?setxattr|fsetxattr|utime)\w*$")
WRITES = {"write", "pwrite64", "ftruncate"}


def pullers_of(trace, _):
    """Processes that became caisson-puller, and what each did then."""
    found = []
    for process in trace.processes:
        for i, call in enumerate(process.calls):
            if call.name == "execve" and call.ok() and \
                    '"caisson-puller"' in str(call):
                found.append((process, process.calls[i + 1:]))
                break
    return found


def sandbox_is_entered(pullers, seen):
    """16: no ids, no capabilities, Landlock and a filter before the first
    byte of an image."""
    for process, calls in pullers:
        seen["pullers"] += 1
        if "/* 1 var */" not in str(process.calls[-len(calls) - 1]):
            yield f"puller {process.pid}: has an environment"
        names = [call.args[0] if call.name == "prctl" else call.name
                 for call in calls if call.ok()]
        order = ["setresuid", "capset", "PR_SET_NO_NEW_PRIVS",
                 "landlock_restrict_self", "seccomp"]
        at = [names.index(name) if name in names else -1 for name in order]
        if -1 in at or at != sorted(at):
            yield f"puller {process.pid}: {dict(zip(order, at))}"


def no_names_are_made(pullers, seen):
    """16: nothing of an image becomes a path."""
    for process, calls in pullers:
        for call in calls:
            seen["calls"] += 1
            if NAMES.match(call.name):
                yield f"puller {process.pid}: {call}"
            if call.name in ("open", "openat", "openat2", "creat") and \
                    re.search("O_CREAT|O_WRONLY|O_RDWR|O_TRUNC", str(call)):
                yield f"puller {process.pid}: opens to write: {call}"


def only_staging_is_written(pullers, seen):
    """16: written are staging files, sockets, pipes and standard error."""
    for process, calls in pullers:
        for call in calls:
            if call.name not in WRITES:
                continue
            target = re.match(r"\d+<(.*)>$", call.args[0])
            target = target.group(1) if target else call.args[0]
            staging = re.search(r"/(staging|layers)/[^/]*( \(deleted\))?$",
                                target)
            seen["writes"] += bool(staging)
            if not staging and call.fd(0) != 2 and \
                    not re.match(r"(socket|pipe|TCP|UNIX|anon_inode)", target):
                yield f"puller {process.pid}: writes {target}: {call}"


PULLERS = {
    16: [sandbox_is_entered, no_names_are_made, only_staging_is_written],
}
