#!/usr/bin/env bash
# Builds crictl and critest into build/tools, from the Go module under
# tests/conformance.
#
#   hack/build_conformance.sh DIGEST
#
# DIGEST is that of the image test-image-digest as hack/make_images.sh pushed
# it: one spec names a digest that only the internet has, so critest is built
# with a copy of that file, made here and kept out of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
digest=${1:?usage: build_conformance.sh DIGEST}

# shellcheck source=hack/need_go.sh
. hack/need_go.sh

mkdir -p build/tools
stamp=build/tools/stamp
now=$(cat tests/conformance/go.sum hack/build_conformance.sh | sha256sum)$digest
if [[ -x build/tools/crictl && -x build/tools/critest && -f $stamp && $(<$stamp) == "$now" ]]; then
  exit 0
fi
out=$PWD/build/tools
cd tests/conformance
# A fresh machine has no module cache: list alone would name no folder.
go mod download
module=$(go list -m -f '{{.Dir}}' sigs.k8s.io/cri-tools)
rm -rf "$out/cri-tools"
cp -r "$module" "$out/cri-tools"
chmod -R u+w "$out/cri-tools"
sed -E -i "s/(testLinuxImageWithDigest +=.*@)sha256:[0-9a-f]+/\1$digest/" \
  "$out/cri-tools/pkg/validate/consts.go"
cp go.mod go.sum "$out/"
go mod edit -replace "sigs.k8s.io/cri-tools=$out/cri-tools" "$out/go.mod"
flags=(-modfile "$out/go.mod" -mod=mod)
go build "${flags[@]}" -o "$out/crictl" sigs.k8s.io/cri-tools/cmd/crictl
go test "${flags[@]}" -c -o "$out/critest" sigs.k8s.io/cri-tools/cmd/critest
echo "$now" >"$out/stamp"
