#!/usr/bin/env bash
# Builds what caisson is measured beside into build/tools, from the Go modules
# under tests/bench/peer: containerd, its shim, and runc.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need_go.sh
. hack/need_go.sh

mkdir -p build/tools
out=$PWD/build/tools
stamp=$out/peer.stamp
programs=(containerd containerd-shim-runc-v2 runc)
now=$(cat tests/bench/peer/*/go.sum hack/build_peer.sh | sha256sum)
if [[ -f $stamp && $(<"$stamp") == "$now" ]] &&
  [[ $(cd "$out" && ls "${programs[@]}" 2>/dev/null | wc -l) == "${#programs[@]}" ]]; then
  exit 0
fi

build() { # build MODULE-FOLDER PACKAGE GO-BUILD-ARGUMENT...
  local module=$1 package=$2
  shift 2
  (cd "tests/bench/peer/$module" && go build -trimpath -o "$out/" "$@" "$package")
}
containerd=github.com/containerd/containerd/v2
version=$(cd tests/bench/peer/containerd && go list -m -f '{{.Version}}' "$containerd")
flags="-s -w -X $containerd/version.Version=$version"
build containerd "$containerd/cmd/containerd" -ldflags "$flags" \
  -tags urfave_cli_no_docs
# As its makefile has it: the shim's memory is the pod's.
CGO_ENABLED=0 build containerd "$containerd/cmd/containerd-shim-runc-v2" \
  -ldflags "$flags -extldflags '-static'" -tags no_grpc,urfave_cli_no_docs
build runc github.com/opencontainers/runc -ldflags '-s -w' \
  -tags seccomp,urfave_cli_no_docs
echo "$now" >"$stamp"
