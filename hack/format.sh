#!/usr/bin/env bash
# Formats our C++ sources with clang-format 14.
#
#   hack/format.sh           rewrites what differs
#   hack/format.sh --check   names what differs and fails
set -euo pipefail
cd "$(dirname "$0")/.."

mode=-i
[[ ${1:-} != --check ]] || mode='--dry-run --Werror'
# Shared out over the cores: the whole tree takes seconds.
# shellcheck disable=SC2086
git ls-files -z '*.cc' '*.h' |
  xargs -0 -P "$(nproc)" -n 20 clang-format-14 $mode
