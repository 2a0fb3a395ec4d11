"""Which system calls take paths, and which paths without an fd are allowed.

Everything that is not named here is complained of: a call that the checker
doesn't know, a path that starts nowhere.
"""

import re

# Arguments of each path: (index of its directory fd, index of the path).
PATHS = {
    "openat": [(0, 1)], "openat2": [(0, 1)], "open_tree": [(0, 1)],
    "mount_setattr": [(0, 1)], "move_mount": [(0, 1), (2, 3)],
    "mkdirat": [(0, 1)], "mknodat": [(0, 1)], "symlinkat": [(1, 2)],
    "linkat": [(0, 1), (2, 3)], "unlinkat": [(0, 1)],
    "renameat": [(0, 1), (2, 3)], "renameat2": [(0, 1), (2, 3)],
    "fchownat": [(0, 1)], "fchmodat": [(0, 1)], "fchmodat2": [(0, 1)],
    "newfstatat": [(0, 1)], "statx": [(0, 1)], "faccessat": [(0, 1)],
    "faccessat2": [(0, 1)], "readlinkat": [(0, 1)], "utimensat": [(0, 1)],
    "fspick": [(0, 1)], "name_to_handle_at": [(0, 1)],
    "open": [(None, 0)], "creat": [(None, 0)], "mkdir": [(None, 0)],
    "mknod": [(None, 0)], "symlink": [(None, 1)],
    "link": [(None, 0), (None, 1)], "unlink": [(None, 0)],
    "rmdir": [(None, 0)], "rename": [(None, 0), (None, 1)],
    "chown": [(None, 0)], "lchown": [(None, 0)], "chmod": [(None, 0)],
    "stat": [(None, 0)], "lstat": [(None, 0)], "access": [(None, 0)],
    "readlink": [(None, 0)], "chdir": [(None, 0)], "chroot": [(None, 0)],
    "mount": [(None, 0), (None, 1)], "umount2": [(None, 0)],
    "pivot_root": [(None, 0), (None, 1)], "statfs": [(None, 0)],
    "truncate": [(None, 0)], "execve": [(None, 0)],
    "setxattr": [(None, 0)], "lsetxattr": [(None, 0)],
    "getxattr": [(None, 0)], "lgetxattr": [(None, 0)],
    "inotify_add_watch": [(None, 1)],
}

# Traced calls without a path.
NO_PATH = re.compile(
    r"^(write|pwrite64|ftruncate|fchdir|fchown|fchmod|fstat|fstatfs|fcntl|"
    r"ioctl|getcwd|close_range|memfd_create|prctl|setns|unshare|fsopen|"
    r"fsconfig|fsmount|seccomp|keyctl|caps?[sg]et|setsid|clone3?|v?fork|"
    r"exit(_group)?|wait4|waitid|t?g?kill|pidfd_\w+|"
    r"[gs]et(res|re|fs|e)?[ug]id|[gs]etgroups)$")


class Allowed:
    def __init__(self, kinds, phase, calls, path, why):
        self.kinds = kinds.split("|")
        self.phase = phase
        self.calls = calls.split("|")
        self.path = re.compile(f"^({path})$")
        self.why = why
        self.used = False

    def covers(self, kind, phase, call, path):
        return (kind in self.kinds and phase == self.phase and
                call in self.calls and self.path.match(path) is not None)


ALLOWED = [
    Allowed("container|exec|holder", "host", "openat", "/proc",
            "the keeper's own procfs, which is looked at; all that is written "
            "there is opened beneath it"),
    Allowed("container", "host", "openat|newfstatat", "/dev(/.*)?",
            "all devices of the host, of a privileged container"),
    Allowed("container", "host", "open_tree|openat", "/.*",
            "sources: the host's paths are the host's to resolve"),
    Allowed("container", "host", "mkdir|newfstatat", "/.*",
            "sources that are missing, before anything of a pod is entered"),
    Allowed("container", "host", "readlink", r"/proc/self/fd/\d+",
            "of a source, to find the mounts of the host below it"),
    Allowed("container", "stage", "mkdir|mknodat", r"[lv]\d+(-\d+)?|/nodes|/h[df]\d+",
            "the stage's tmpfs, which is ours"),
    Allowed("container", "stage", "move_mount",
            r"[lv]\d+(-\d+)?|home|/root|/nodes|/h[df]\d+",
            "mount points of the stage"),
    Allowed("container", "stage", "umount2", "/root",
            "the root that hooks have given back another for"),
    Allowed("container", "stage", "mount", "/",
            "propagation of all that goes with the old root"),
    Allowed("container", "stage", "chdir", "home|/",
            "directories of the stage; `home` is the daemon's own directory"),
    Allowed("container", "stage", "open_tree", r"\.|/proc|/sys|/h[df]\d+",
            "the root we stand on; the stage's own clones for host modes; what "
            "hooks mounted, in the stage"),
    Allowed("container", "stage", "openat", r"\.", "the root we stand on"),
    Allowed("container|pod-init", "stage", "pivot_root", r"\.",
            "the root we stand on"),
    Allowed("pod-init", "stage", "chdir", "root", "a directory of the stage"),
    Allowed("pod-init", "stage", "openat", r"\.", "the directory we stand on"),
    Allowed("container|pod-init", "inside", "umount2", r"\.",
            "the old root, on which pivot_root leaves us"),
    Allowed("container|pod-init", "inside", "chdir", "/", "the new root"),
    Allowed("container|pod-init|exec", "inside", "openat", "/",
            "takes the root by fd; all else is resolved from it"),
    Allowed("container|exec", "inside", "faccessat2", ".*",
            "the program is looked for in PATH; as the container's user"),
    Allowed("hooks", "host", "mount", "/",
            "propagation of a copy of the host's mounts"),
    Allowed("hooks", "host", "openat|open_tree|readlink", "/.*",
            "the daemon's own directories, and the mounts that hooks made: "
            "nothing of the pod runs yet"),
    Allowed("hooks", "host", "umount2", r"\.", "the mount we stand on"),
    Allowed("hooks", "host", "chdir", "/", "the host's root"),
]


def complaint(story, phase, call):
    """What is wrong with the paths of a call; None when nothing is."""
    if call.name not in PATHS:
        return None if NO_PATH.match(call.name) else "a call nobody knows"
    for directory, index in PATHS[call.name]:
        path = call.string(index)
        if path is None:
            continue  # NULL, or an address that is none
        fd = None if directory is None else call.fd(directory)
        if fd is None:
            found = [allowed for allowed in ALLOWED
                     if allowed.covers(story.kind, phase, call.name, path)]
            if not found:
                return f"the path {path} starts at no fd"
            found[0].used = True
        elif call.name == "openat2":
            if not re.search("RESOLVE_IN_ROOT|RESOLVE_BENEATH", call.args[2]) \
                    or "RESOLVE_NO_MAGICLINKS" not in call.args[2]:
                return "openat2 that may leave its root"
        elif "/" in path:
            return f"the path {path} has more than one component"
        elif path == "..":
            return "leaves the directory"
        elif call.name == "openat" and "O_NOFOLLOW" not in call.args[2]:
            return f"follows a link at {path}"
    return None
