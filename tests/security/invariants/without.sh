#!/usr/bin/env bash
# Becomes the daemon of a command line on a kernel that lacks a system call:
# without.sh CALL[:INDEX=VALUE] PROGRAM...  Its images are those of $CAISSON_SEED, so
# that no pull comes before the container.
set -euo pipefail
mkdir -m 700 "$CAISSON_TEST_DIR/root"
cp -a "$CAISSON_SEED/." "$CAISSON_TEST_DIR/root"
call=$1
shift
exec "$(dirname "$1")/caisson-fake-enosys" "$call" -- "$@"
