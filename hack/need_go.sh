# shellcheck shell=bash
# Sourced by what builds Go programs: ends with one line where Go is too old.
need=1.26
if ! command -v go >/dev/null; then
  echo "$(basename "$0"): Go $need or newer is needed, and none is there" >&2
  exit 1
fi
have=$(go env GOVERSION | sed 's/^go//')
if [[ $(printf '%s\n' "$need" "$have" | sort -V | head -1) != "$need" ]]; then
  echo "$(basename "$0"): Go $need or newer is needed, this is $have" >&2
  exit 1
fi
