#!/usr/bin/env bash
# Becomes the daemon of a command line on a kernel that lacks system calls:
# without.sh CALL[:INDEX=VALUE][+CALL...] PROGRAM...  Its images are those of
# $CAISSON_SEED, if any, so that no pull comes before the container.
set -euo pipefail
if [[ -n ${CAISSON_SEED:-} ]]; then
  mkdir -m 700 "$CAISSON_TEST_DIR/root"
  cp -a "$CAISSON_SEED/." "$CAISSON_TEST_DIR/root"
fi
IFS=+ read -ra missing <<<"$1"
shift
exec "$(dirname "$1")/caisson-fake-enosys" "${missing[@]}" -- "$@"
