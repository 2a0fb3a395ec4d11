#!/usr/bin/env bash
# Compiles what has to do with a mutex in runtime/ and shim/ with clang, which
# checks that members are touched only under the locks that they name
# (runtime/base/mutex.h).  -v: says which files, and how long it took.
set -euo pipefail
cd "$(dirname "$0")/.."

# Files that include the mutex, each by whatever headers.
headers=runtime/base/mutex.h
while :; do
  pattern=$(tr '\n' '|' <<<"$headers")
  found=$(grep -rlE --include='*.h' "#include \"(${pattern%|})\"" runtime shim |
    cat - <(echo "$headers") | sort -u)
  [[ $found != "$headers" ]] || break
  headers=$found
done
mapfile -t sources < <(grep -rlE --include='*.cc' \
  "#include \"(${pattern%|})\"" runtime shim | sort)

cmake --preset thread-safety >/dev/null
# As objects: nothing is linked.
mapfile -t objects < <(ninja -C build/thread-safety -t targets all |
  sed -nE 's/^((runtime|shim)\/.*\.cc\.o): .*/\1/p' | while read -r object; do
  source=$(sed -E 's/CMakeFiles\/[^/]*\.dir\///; s/\.o$//' <<<"$object")
  printf '%s\n' "${sources[@]}" | grep -qxF "$source" && echo "$object"
done)
((${#objects[@]} >= ${#sources[@]})) || {
  echo "check_thread_safety: ${#sources[@]} files, but ${#objects[@]} objects" >&2
  exit 1
}
SECONDS=0
[[ ${1:-} != -v ]] || printf '%s\n' "${sources[@]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! ${NINJA:-ninja} -C build/thread-safety "${objects[@]}" >"$log"; then
  grep -E 'error:|warning:' -A 6 "$log" >&2 || tail -30 "$log" >&2
  exit 1
fi
[[ ${1:-} != -v ]] || echo "${#objects[@]} objects, $SECONDS seconds"
