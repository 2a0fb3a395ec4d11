#!/usr/bin/env bash
# Builds with sanitizers and runs the tests that find something with them:
#
#   hack/sanitize.sh asan    unit and root tests, and a walk through the CRI
#   hack/sanitize.sh tsan    the same walk, for races in the daemon
#
# The keeper and the probe are not sanitized where they must be static.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-}
[[ $preset == asan || $preset == tsan ]] || { echo "usage: sanitize.sh asan|tsan" >&2; exit 2; }

work=$(mktemp -d /tmp/caisson-sanitize.XXXXXX)
clean_up() {
  hack/registry.sh stop "$work/registry" || true
  rm -rf "$work"
}
trap clean_up EXIT

cmake --preset "$preset" >/dev/null
ninja -C "build/$preset" >"$work/build.log" || { tail -50 "$work/build.log"; exit 1; }
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1
export TSAN_OPTIONS=halt_on_error=0:exitcode=66
[[ $preset == tsan ]] ||
  ctest --test-dir "build/$preset" -L '^(unit|root)$' --output-on-failure

CAISSON_TEST_REGISTRY=$(hack/registry.sh start "$work/registry")
export CAISSON_TEST_REGISTRY
export CAISSON_BIN=$PWD/build/$preset/bin
digest=$(hack/make_images.sh "$CAISSON_TEST_REGISTRY")
hack/build_conformance.sh "$digest"
export CRICTL=$PWD/build/tools/crictl
failed=0
for walk in crictl_walk isolation resources many_pods; do
  hack/with_caissond.sh -- bash -c '
    "$@" || code=$?
    cp "$CAISSON_TEST_DIR/caissond.log" "$0"
    exit "${code:-0}"' "$work/caissond.log" "tests/cri/$walk.sh" \
    >"$work/$walk.log" 2>&1 || failed=1
  tail -1 "$work/$walk.log"
  if grep -E 'ERROR: .*Sanitizer|WARNING: ThreadSanitizer|runtime error:' \
    "$work/caissond.log"; then
    cp "$work/caissond.log" "build/$preset/$walk.caissond.log"
    failed=1
  fi
done
exit "$failed"
