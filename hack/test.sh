#!/usr/bin/env bash
# Builds caisson and runs every test tier that can run here.
#
#   hack/test.sh [TIER...]   layers unit root cri chaos security conformance
#                            kubelet vm quickstart leftovers (default: all, in
#                            this order)
#
# A tier that cannot run says why; under CAISSON_MUST_RUN=1 that is a failure.
# A user's call becomes root's by sudo; what is built stays the user's.
set -euo pipefail
# shellcheck source=hack/as_root.sh
. "$(dirname "$0")/as_root.sh"
become_root "$@"
cd "$(dirname "$0")/.."

passed=0
failed=0
tiers=("$@")
((${#tiers[@]})) ||
  tiers=(layers unit root cri chaos security conformance kubelet vm quickstart
    leftovers)
work=$(mktemp -d /tmp/caisson-test-sh.XXXXXX)
clean_up() {
  hack/registry.sh stop "$work/registry" || true
  rm -rf "$work"
  give_back
}
trap clean_up EXIT
pass() { echo "PASS $1"; passed=$((passed + 1)); }
fail() { echo "FAIL $1"; failed=$((failed + 1)); }

# What a run may not leave behind, as text.
host_state() {
  cut -d' ' -f5- /proc/self/mountinfo | sort
  find /sys/fs/cgroup -type d -name '*caisson*' 2>/dev/null | sort
  ls /run/netns 2>/dev/null || true
  ip -o link 2>/dev/null | cut -d' ' -f2 | cut -d@ -f1 | sort
  # Ended ones wait for the machine's init, which takes its time.
  ps -eo stat,args | grep -E 'caisson(d|ctl|-[a-z]+)( |$)' |
    grep -vE '^Z|grep' || true
  iptables-save 2>/dev/null | grep -i cni || true
  ls -d /run/caisson* /var/lib/caisson* /var/tmp/caisson-* 2>/dev/null || true
}

run_ctest() { # run_ctest LABEL: each test program counts as one
  local label=$1 log=$work/$1.log
  if ctest --test-dir build/dev -L "^$label\$" --output-on-failure \
    --no-tests=error >"$log" 2>&1; then
    grep -E 'Passed|tests passed' "$log" || true
  else
    cat "$log"
  fi
  while read -r name verdict; do
    if [[ $verdict == Passed ]]; then pass "$name"; else fail "$name"; fi
  done < <(sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) \.+ *(\**)(Passed|Failed|Not Run|Timeout|Exception).*/\1 \3/p' "$log")
}

tier_layers() {
  local check
  for check in check_layers.sh check_paths.sh check_sizes.sh \
    check_thread_safety.sh "format.sh --check"; do
    # shellcheck disable=SC2086
    if hack/$check; then pass "$check"; else fail "$check"; fi
  done
}
tier_unit() { run_ctest unit; }
tier_root() { run_ctest root; }
# One registry for all that need images; its test-image-digest's digest.
start_registry() {
  [[ -z ${digest:-} ]] || return 0
  export CAISSON_BIN=$PWD/build/dev/bin
  if [[ -z ${CAISSON_TEST_REGISTRY:-} ]]; then
    CAISSON_TEST_REGISTRY=$(hack/registry.sh start "$work/registry")
    export CAISSON_TEST_REGISTRY
  fi
  digest=$(as_owner hack/make_images.sh "$CAISSON_TEST_REGISTRY")
}

# What Go builds for a tier; false where there is nothing to run then.
build_tool() { # build_tool TIER SCRIPT...
  local tier=$1 code=0
  shift
  as_owner "$@" >"$work/tool.log" 2>&1 || code=$?
  ((code)) || return 0
  echo "$tier: $(tail -20 "$work/tool.log")"
  # No Go that is new enough.
  ((code == 77)) && [[ -z ${CAISSON_MUST_RUN:-} ]] || fail "$tier"
  return 1
}
build_clients() { # build_clients TIER: crictl and critest
  export CRICTL=$PWD/build/tools/crictl
  build_tool "$1" hack/build_conformance.sh "$digest"
}

run_with_daemon() { # run_with_daemon NAME CMD...
  local name=$1
  shift
  if hack/with_caissond.sh -- "$@" >"$work/$name.log" 2>&1; then
    tail -1 "$work/$name.log"
    pass "$name"
  else
    grep -E ': Failure$|^\[  FAILED' -A 8 "$work/$name.log" | head -120 || true
    tail -60 "$work/$name.log"
    fail "$name"
  fi
}

tier_cri() {
  local walk
  start_registry
  if build_clients cri; then
    for walk in crictl_walk isolation resources restart many_pods; do
      run_with_daemon "$walk" "tests/cri/$walk.sh"
    done
  fi
  local program
  for program in malformed fields hung_keeper hung_network recover states \
    many_stops; do
    run_with_daemon "$program" "build/dev/tests/${program}_cri_test"
  done
}

# Daemons that end at moments nobody chose, for a while.
tier_chaos() {
  start_registry
  run_with_daemon chaos tests/cri/chaos.sh
}

tier_security() {
  start_registry
  run_with_daemon security build/dev/tests/security_cri_test
  build_clients security || return 0
  run_with_daemon invariants tests/security/invariants.sh
  run_with_daemon missing_kernel tests/security/missing_kernel.sh
}

tier_conformance() {
  start_registry
  build_clients conformance || return 0
  # Every spec but those of exec, attach and port-forward streams.  By policy
  # the default handler gives each pod a user namespace of its own, also one
  # that names none: that spec is for the other.
  run_with_daemon critest tests/cri/critest.sh \
    'Streaming|UserNamespaces.*NamespaceMode_NODE' ""
  run_with_daemon critest_caisson-requested tests/cri/critest.sh \
    'Streaming' caisson-requested
}

# Pods as people write them, by a kubelet without an API server.
tier_kubelet() {
  start_registry
  build_tool kubelet hack/build_kubelet.sh || return 0
  run_with_daemon kubelet python3 tests/kubelet/kubelet_test.py
}

# Debian's kernels in QEMU: cgroup v2, systemd, AppArmor, and the oldest kernel
# that caisson runs on.  Emulated, so it has a part of the tests; both machines
# at once, for each often waits.
tier_vm() {
  if ! command -v qemu-system-x86_64 >/dev/null; then
    echo "vm: qemu-system-x86_64 is not installed"
    [[ -z ${CAISSON_MUST_RUN:-} ]] || fail vm
    return 0
  fi
  start_registry
  build_clients vm && build_tool vm hack/build_kubelet.sh || return 0
  tests/vm/build.sh >"$work/vm-build.log" 2>&1 || {
    tail -20 "$work/vm-build.log"
    fail vm-build
    return 0
  }
  # What each runs: tests/vm/inside.sh.
  local machine machines=(floor:systemd newest:cgroupfs)
  for machine in "${machines[@]}"; do
    boot_machine "$machine" >"$work/vm-$machine.log" 2>&1 &
  done
  wait
  # A kernel has one of AppArmor and SELinux.
  CAISSON_VM_APPEND=security=selinux boot_machine newest:cgroupfs selinux \
    >"$work/vm-selinux.log" 2>&1
  for machine in "${machines[@]}" selinux; do
    vm_verdicts "$machine" "$work/vm-$machine.log"
  done
}
boot_machine() { # boot_machine KERNEL:DRIVER [TEST...]
  local machine=$1
  shift
  tests/vm/boot.sh "${machine%:*}" tests/vm/inside.sh "${machine#*:}" "$@"
}
vm_verdicts() { # vm_verdicts MACHINE LOG: a row of the table for each test
  local verdict name seen=
  while read -r verdict name; do
    seen=1
    if [[ $verdict == PASS ]]; then pass "vm $1 $name"; else fail "vm $1 $name"; fi
  done < <(grep -aoE '(PASS|FAIL) [a-z_A-Z-]+$' "$2")
  if [[ -z $seen ]] || grep -qaE '^FAIL' "$2" ||
    ! grep -qa 'vm: exit code 0' "$2"; then
    grep -av '^\[' "$2" | tail -80
    fail "vm $1"
  fi
}

tier_quickstart() {
  if hack/quickstart.sh >"$work/quickstart.log" 2>&1; then
    pass quickstart
  else
    tail -40 "$work/quickstart.log"
    fail quickstart
  fi
}

tier_leftovers() {
  hack/registry.sh stop "$work/registry"
  host_state >"$work/after"
  if diff -u "$work/before" "$work/after"; then
    pass leftovers
  else
    fail leftovers
  fi
}

for tool in cmake ninja g++; do
  command -v "$tool" >/dev/null || hack/install_deps.sh
done
give_back
as_owner cmake --preset dev >"$work/cmake.log" || { cat "$work/cmake.log"; exit 1; }
as_owner ninja -C build/dev >"$work/build.log" ||
  { tail -50 "$work/build.log"; exit 1; }
host_state >"$work/before"
for tier in "${tiers[@]}"; do
  echo "== $tier"
  "tier_$tier"
done
echo "$passed passed, $failed failed"
((failed == 0))
