#!/usr/bin/env bash
# Makes what the virtual machines boot, in build/vm, unless it is there:
#
#   floor.kernel, newest.kernel    Debian's cloud kernels: the oldest that
#                                  caisson runs on and the newest there is
#   floor.initrd, newest.initrd    busybox and the modules that find the root
#   root.ext4                      Debian with systemd, both kernels' modules,
#                                  and the libraries and tools the tests use
#
# Needs root, qemu-system-x86, mmdebstrap and Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=$PWD/build/vm
suite=bookworm
mirror=http://deb.debian.org/debian
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# name, suite, and the pattern of the kernel's version.
kernels=("floor $suite-backports 6.12.*" "newest testing .*")

# What the machine's tests run with; the libraries follow from the programs.
packages=(
  systemd-sysv dbus udev kmod iproute2 iptables procps util-linux mount jq
  attr curl python3 busybox-static containernetworking-plugins
  docker-registry e2fsprogs strace libgrpc++1.51 libprotobuf32 libprotobuf-lite32 libsqlite3-0
  libseccomp2 libcurl4 libarchive13 libisal2 libzstd1 libspdlog1.10
  libnettle8 libgtest-dev libfmt9 libcap2 libyaml-0-2 ca-certificates xz-utils gzip apparmor sudo
  selinux-policy-default selinux-utils policycoreutils
)

mkdir -p "$out"
work=$(mktemp -d /var/tmp/caisson-vm.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT

apt_in() { # apt_in DIR TOOL ARGS...: apt with sources of its own
  local dir=$1 tool=$2
  shift 2
  "$tool" -q -o Dir::Etc::sourcelist="$dir/sources.list" \
    -o Dir::Etc::sourceparts=- -o Dir::State::lists="$dir/lists" \
    -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root "$@"
}

# The newest kernel of a suite whose version fits, unpacked.
fetch_kernel() { # fetch_kernel NAME SUITE PATTERN
  local name=$1 dir=$work/apt-$1 version package
  mkdir -p "$dir"/{lists/partial,cache/archives/partial,debs}
  echo "deb [signed-by=$keyring] $mirror $2 main" >"$dir/sources.list"
  apt_in "$dir" apt-get update >/dev/null
  version=$(apt_in "$dir" apt-cache search --names-only \
    '^linux-image-[0-9].*-cloud-amd64$' |
    sed -nE "s/^linux-image-($3-cloud-amd64) .*/\1/p" | sort -V | tail -1)
  [[ -n $version ]] || { echo "vm: no kernel $3 in $2" >&2; return 1; }
  # One package in older suites, two in newer ones.
  for package in image base binary modules; do
    (cd "$dir/debs" &&
      apt_in "$dir" apt-get download "linux-$package-$version" \
        >/dev/null 2>&1) || [[ $package != image ]]
  done
  for package in "$dir"/debs/*.deb; do dpkg -x "$package" "$work/$name"; done
  # Newer suites have them below /usr.
  if [[ -d $work/$name/usr/lib/modules ]]; then
    mkdir -p "$work/$name/lib"
    mv "$work/$name/usr/lib/modules" "$work/$name/lib/modules"
  fi
  depmod -b "$work/$name" "$version"
  cp "$(find "$work/$name" -name "vmlinuz*" -type f | head -1)" \
    "$out/$name.kernel"
  echo "$version" >"$out/$name.version"
}

make_initrd() { # make_initrd NAME
  local version dir=$work/initrd-$1 module
  version=$(<"$out/$1.version")
  mkdir -p "$dir"/{bin,modules,dev,proc,sys,root}
  cp "$(command -v busybox)" "$dir/bin/busybox"
  for module in virtio_pci virtio_blk ext4; do
    modprobe -d "$work/$1" -S "$version" --show-depends "$module" |
      sed -n 's/^insmod \([^ ]*\).*/\1/p'
  done | awk '!seen[$0]++' | while read -r path; do
    module=$(basename "${path%.xz}")
    if [[ $path == *.xz ]]; then
      xz -dc "$path" >"$dir/modules/$module"
    else
      cp "$path" "$dir/modules/$module"
    fi
    echo "$module" >>"$dir/modules/order"
  done
  cat >"$dir/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod /modules/$module; done </modules/order
/bin/busybox mount -t ext4 -o rw /dev/vda /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
INIT
  chmod +x "$dir/init"
  touch "$dir/modules/order"
  (cd "$dir" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/$1.initrd"
}

make_root() {
  local root=$work/root list
  list=$(IFS=,; echo "${packages[*]}")
  mmdebstrap --mode=root --variant=minbase --include="$list" --quiet \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    "$suite" "$root" "$mirror"
  for kernel in floor newest; do
    mkdir -p "$root/lib/modules"
    cp -a "$work/$kernel/lib/modules/." "$root/lib/modules/"
  done
  # Nothing that is not ours runs in it.
  local unit
  for unit in docker-registry.service apparmor.service apt-daily.timer apt-daily-upgrade.timer \
    e2scrub_all.timer fstrim.timer dpkg-db-backup.timer getty@tty1.service \
    serial-getty@ttyS0.service systemd-timesyncd.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
  done
  # Of a machine that is booted with it (boot.sh).
  cp tests/vm/containers.cil "$root/"
  chroot "$root" semodule -n -i /containers.cil
  rm "$root/containers.cil"
  printf 'SELINUX=permissive\nSELINUXTYPE=default\n' >"$root/etc/selinux/config"
  echo caisson-vm >"$root/etc/hostname"
  echo "127.0.0.1 localhost caisson-vm" >"$root/etc/hosts"
  : >"$root/etc/fstab"
  cp tests/vm/run.service "$root/etc/systemd/system/caisson-vm.service"
  ln -sf /etc/systemd/system/caisson-vm.service \
    "$root/etc/systemd/system/multi-user.target.wants/caisson-vm.service"
  mkfs.ext4 -q -O ^has_journal -d "$root" "$out/root.ext4.new" 2500M
  mv "$out/root.ext4.new" "$out/root.ext4"
}

key=$(cat "$0" tests/vm/run.service tests/vm/containers.cil | sha256sum | cut -d' ' -f1)
[[ ! -f $out/key || $(<"$out/key") != "$key" ]] || exit 0
rm -f "$out/key"
for kernel in "${kernels[@]}"; do
  read -r name from pattern <<<"$kernel"
  fetch_kernel "$name" "$from" "$pattern"
  make_initrd "$name"
done
make_root
echo "$key" >"$out/key"
