#!/usr/bin/env bash
# Builds the fuzzers of tests/fuzz and runs each for a while:
#
#   hack/fuzz.sh [SECONDS] [NAME...]     default: 60 seconds, all
#
# As many at a time as there are processors.  What is learnt stays in
# build/fuzz/corpus; an input that breaks something is kept in
# build/fuzz/findings, shown, and makes the script fail.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
[[ $seconds =~ ^[0-9]+$ ]] || { echo "usage: fuzz.sh [SECONDS] [NAME...]" >&2; exit 2; }
names=("$@")
if ((${#names[@]} == 0)); then
  names=($(ls tests/fuzz/corpus))
fi

log=build/fuzz/build.log
mkdir -p build/fuzz/findings
cmake --preset fuzz >"$log"
ninja -C build/fuzz -j"${CAISSON_JOBS:-$(nproc)}" "${names[@]/#/fuzz_}" >>"$log" ||
  { tail -40 "$log"; exit 1; }

run_one() { # run_one NAME
  local corpus=build/fuzz/corpus/$1 log=build/fuzz/$1.log
  mkdir -p "$corpus"
  # A minute for an input is a hang; the kernel's limit of a file keeps a
  # runaway layer off the disk.
  if (ulimit -f 2000000
    exec build/fuzz/fuzzers/fuzz_"$1" -max_total_time="$seconds" -timeout=20 \
      -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix=build/fuzz/findings/"$1"- \
      "$corpus" tests/fuzz/corpus/"$1") >"$log" 2>&1; then
    echo "PASS $1: $(sed -n 's/stat::number_of_executed_units: */runs /p' "$log")," \
      "$(grep -oE 'cov: [0-9]+' "$log" | tail -1)"
  else
    echo "FAIL $1"
    tail -40 "$log"
    return 1
  fi
}

failed=0
running=()
finish() { wait "${running[0]}" || failed=1; running=("${running[@]:1}"); }
for name in "${names[@]}"; do
  ((${#running[@]} < $(nproc))) || finish
  run_one "$name" &
  running+=($!)
done
while ((${#running[@]})); do finish; done
exit "$failed"
