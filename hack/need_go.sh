# shellcheck shell=bash
# Sourced by what builds Go programs, from the top folder: ends with one line
# and code 77 where Go is older than the modules of the tests ask for.
need=$(grep -rh --include=go.mod '^go ' tests | sed 's/^go //' | sort -V |
  tail -1)
if ! command -v go >/dev/null; then
  echo "$(basename "$0"): Go $need or newer is needed, and none is there" >&2
  exit 77
fi
# Not another one that Go would fetch by itself.
have=$(GOTOOLCHAIN=local go version | sed -E 's/^go version go([^ ]+) .*/\1/')
if [[ $(printf '%s\n' "$need" "$have" | sort -V | head -1) != "$need" ]]; then
  echo "$(basename "$0"): Go $need or newer is needed, this is $have" >&2
  exit 77
fi
