#!/usr/bin/env bash
# Boots a virtual machine with this checkout's programs and tests in it, runs a
# command there as root in the checkout's path, and returns its exit code:
#
#   tests/vm/boot.sh floor|newest CMD...
#
# Software emulation of two processors, cgroup v2, systemd, no network.  The
# disks are not changed.  CAISSON_VM_TIMEOUT: seconds (default 1800).
# CAISSON_VM_APPEND: more words for the kernel's command line; with
# "security=selinux" its policy is loaded, permissive.
set -euo pipefail
cd "$(dirname "$0")/../.."

kernel=${1:?usage: boot.sh floor|newest CMD...}
shift
command=$(printf '%q ' "$@")
vm=build/vm
work=$(mktemp -d /var/tmp/caisson-vm.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT

# What the command may need of this checkout.
fill() { # fill DIR
  local file
  mkdir -p "$1/repo/build/dev/bin" "$1/repo/build/dev/tests"
  cp -a deploy hack tests "$1/repo/"
  for file in build/dev/bin/* build/dev/tests/*; do
    [[ -f $file && -x $file ]] || continue
    strip -g -o "$1/repo/$file" "$file"
  done
  for file in build/tools build/images; do
    [[ ! -d $file ]] || cp -a --parents "$file" "$1/repo/"
  done
  rm -f "$1"/repo/build/images/big*
  cat >"$1/vm-main.sh" <<MAIN
echo "vm: up"
mount -t tmpfs -o size=3g tmp /tmp
# After it: the checkout may lie below /tmp.
mkdir -p "$PWD"
mount --bind /work-disk/repo "$PWD"
cd "$PWD"
ip link set lo up
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export CAISSON_IN_VM=1 CAISSON_BIN=$PWD/build/dev/bin
export CRICTL=$PWD/build/tools/crictl
$command
echo "vm: exit code \$?"
MAIN
}

mkdir "$work/disk"
fill "$work/disk"
mkfs.ext4 -q -O ^has_journal -d "$work/disk" "$work/work.ext4" 4G
rm -rf "$work/disk"

# Without cx16: emulated, a 16-byte exchange is not atomic between two
# processors, which ends 6.12 in its allocator while it boots.
boot() {
  timeout --foreground "${CAISSON_VM_TIMEOUT:-1800}" qemu-system-x86_64 \
    -accel tcg,thread=multi -smp 2 -m 6144 \
    -cpu "${CAISSON_VM_CPU:-max,cx16=off}" -nographic -no-reboot \
    -nic none -kernel "$vm/$kernel.kernel" -initrd "$vm/$kernel.initrd" \
    -append "console=ttyS0 quiet panic=-1 oops=panic systemd.show_status=0 ${CAISSON_VM_APPEND:-}" \
    -drive "file=$vm/root.ext4,if=virtio,format=raw,snapshot=on" \
    -drive "file=$work/work.ext4,if=virtio,format=raw,snapshot=on" \
    -pidfile "$work/pid" \
    </dev/null | stdbuf -oL tr -d '\r' | tee "$work/out"
}

# Emulated, a kernel sometimes spins before its first word: such a machine is
# started again.
for attempt in 1 2 3; do
  : >"$work/out"
  boot &
  machine=$!
  for ((second = 0; second < 240; second++)); do
    ! grep -qa 'vm: up' "$work/out" && kill -0 "$machine" 2>/dev/null || break
    sleep 1
  done
  if ! grep -qa 'vm: up' "$work/out" && kill -0 "$machine" 2>/dev/null; then
    echo "vm: attempt $attempt did not come up"
    kill -9 "$(<"$work/pid")"
    wait "$machine" || true
    continue
  fi
  wait "$machine" || true
  break
done
code=$(sed -n 's/.*vm: exit code //p' "$work/out" | tail -1)
[[ -n $code ]] || { echo "vm: it ended without an answer" >&2; exit 1; }
exit "$code"
