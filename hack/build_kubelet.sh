#!/usr/bin/env bash
# Builds a kubelet into build/tools, from the Go module under tests/kubelet.
# Cold that takes four minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need_go.sh
. hack/need_go.sh

mkdir -p build/tools
stamp=build/tools/kubelet.stamp
now=$(cat tests/kubelet/go.sum hack/build_kubelet.sh | sha256sum)
if [[ -x build/tools/kubelet && -f $stamp && $(<$stamp) == "$now" ]]; then
  exit 0
fi
out=$PWD/build/tools
cd tests/kubelet
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
# A program without a version is no node's.
go build -o "$out/kubelet" \
  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" \
  k8s.io/kubernetes/cmd/kubelet
cd ../..
echo "$now" >"$stamp"
