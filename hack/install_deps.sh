#!/usr/bin/env bash
# Installs what caisson is built and tested with, from Debian's packages.
# Does nothing when all of it is there.
set -euo pipefail

packages=(
  # Build.
  ca-certificates ccache cmake g++ git ninja-build pkg-config
  libabsl-dev libarchive-dev libbenchmark-dev libboost-dev libcap-dev
  libcli11-dev libcurl4-openssl-dev libgmock-dev libgrpc++-dev libgtest-dev
  libisal-dev libprotobuf-dev libseccomp-dev libselinux1-dev libspdlog-dev libsqlite3-dev
  libssl-dev libsystemd-dev libtomlplusplus-dev libyaml-dev libzstd-dev
  nettle-dev nlohmann-json3-dev protobuf-compiler protobuf-compiler-grpc zlib1g-dev
  # Run.
  containernetworking-plugins erofs-utils iproute2 iptables mount util-linux
  # Test.
  attr busybox-static clang-14 clang-format-14 clang-tidy-14 curl
  docker-registry file jq libclang-rt-14-dev procps python3 strace xz-utils
  # Virtual machines.
  apparmor cpio debian-archive-keyring e2fsprogs kmod mmdebstrap qemu-system-x86
)

missing=()
for package in "${packages[@]}"; do
  if ! dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null |
    grep -qx installed; then
    missing+=("$package")
  fi
done
# Another build of busybox, whose shell looks for programs before its own
# commands: a spec of critest needs that.  It conflicts with busybox-static,
# so it is unpacked beside.
ash=/usr/local/lib/caisson-test/busybox
unpack_ash() {
  [[ -x $ash ]] && return
  local dir
  dir=$(mktemp -d)
  chmod 755 "$dir"
  (cd "$dir" && apt-get download -q busybox && dpkg -x busybox_*.deb .)
  install -D -m 755 "$dir/bin/busybox" "$ash"
  rm -rf "$dir"
}

if ((${#missing[@]} == 0)) && [[ -x $ash ]]; then
  exit 0
fi

# shellcheck source=hack/as_root.sh
. "$(dirname "$0")/as_root.sh"
become_root "$@"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
unpack_ash
((${#missing[@]})) || exit 0
# docker-registry would start as a service; tests start their own.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get install -q -y --no-install-recommends "${missing[@]}"
