#!/usr/bin/env python3
"""Runs a command in which openat2(2) fails: without_openat2.py ENOSYS|EPERM|none CMD..."""

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
OPENAT2 = 437  # the same on all architectures


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def forbid(error):
    code = b"".join(struct.pack("HBBI", *step) for step in [
        (LOAD, 0, 0, 0),
        (JUMP_EQUAL, 0, 1, OPENAT2),
        (RETURN, 0, 0, ERRNO | error),
        (RETURN, 0, 0, ALLOW),
    ])
    steps = ctypes.create_string_buffer(code)
    program = Program(4, ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    # Root keeps what it gains by execve: without no_new_privs.
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if sys.argv[1] != "none":
        forbid(getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
