#!/usr/bin/env bash
# critest against the daemon of with_caissond.sh:
#   critest.sh SKIP [HANDLER [FOCUS]]
set -euo pipefail
critest=${CRICTL%crictl}critest
arguments=(--runtime-endpoint "$CONTAINER_RUNTIME_ENDPOINT"
  --ginkgo.no-color --ginkgo.skip "$1")
[[ -z ${2:-} ]] || arguments+=(--runtime-handler "$2")
[[ -z ${3:-} ]] || arguments+=(--ginkgo.focus "$3")
cd "$CAISSON_TEST_DIR"
code=0
"$critest" "${arguments[@]}" >critest.log 2>&1 || code=$?
if ((code)); then
  grep -E '\[FAIL\]|FAILED' critest.log | sort -u | head -40
  tail -30 caissond.log
fi
grep -E '^(Ran|SUCCESS|FAIL)' critest.log
exit "$code"
