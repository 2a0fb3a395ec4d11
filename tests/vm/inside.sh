#!/usr/bin/env bash
# What boot.sh runs in the machine: the tests named, or what CI has time for,
# each in the way hack/test.sh runs them, with a line for each.
#
#   tests/vm/inside.sh cgroupfs|systemd [TEST...]
set -uo pipefail

driver=${1:?usage: inside.sh cgroupfs|systemd [TEST...]}
shift
tests=("$@")
if ((!${#tests[@]})); then
  tests=(check root crictl_walk isolation resources restart apparmor)
  # What takes minutes, in one of the two machines.
  case $driver in
    systemd) tests+=(kubelet containment) ;;
    cgroupfs) tests+=(fields_cri_test) ;;
  esac
fi
work=/tmp/vm-tests
mkdir -p "$work"
export CAISSON_CGROUP_DRIVER=$driver
failed=0

verdict() { # verdict NAME CODE LOG
  if (($2 == 0)); then
    echo "PASS $1"
  else
    tail -60 "$3"
    echo "FAIL $1"
    failed=1
  fi
}

with_daemon() { # with_daemon NAME CMD...
  local name=$1
  shift
  # What it has tried is seen while it runs: here that can take an hour.
  hack/with_caissond.sh -- "$@" 2>&1 | tee "$work/$name.log" |
    grep -aE --line-buffered '^\[ +(OK|FAILED) |\.\.\. '
  verdict "$name" "${PIPESTATUS[0]}" "$work/$name.log"
}

# What the machine of developers lacks; nothing is skipped for want of it.
needs() { # needs NAME Y
  [[ $2 == Y ]] || { echo "FAIL $1-in-the-kernel"; failed=1; }
}

filtered() { # filtered NAME FILTER PROGRAM: tests that are there, and run
  GTEST_FILTER=$2 with_daemon "$1" "build/dev/tests/$3"
  if grep -qE '^\[  (SKIPPED|PASSED  \] 0 tests)' "$work/$1.log"; then
    echo "FAIL $1-runs"
    failed=1
  fi
}

# As an operator's node has it; a machine has AppArmor or SELinux.
has_apparmor=$(cat /sys/module/apparmor/parameters/enabled)
if [[ $has_apparmor == Y ]]; then
  apparmor_parser -r deploy/apparmor/caisson-default || exit 1
fi

start_registry() {
  [[ -z ${CAISSON_TEST_REGISTRY:-} ]] || return
  CAISSON_TEST_REGISTRY=$(hack/registry.sh start "$work/registry")
  export CAISSON_TEST_REGISTRY
  hack/make_images.sh "$CAISSON_TEST_REGISTRY" >/dev/null
}

# As in hack/test.sh.
skip='Streaming'
[[ " ${tests[*]} " != *" critest "* ]] ||
  skip='Streaming|UserNamespaces.*NamespaceMode_NODE'

for test in "${tests[@]}"; do
  case $test in
    check)
      build/dev/bin/caissonctl check >"$work/check.log" 2>&1
      verdict check $? "$work/check.log"
      ;;
    root)
      for program in build/dev/tests/*_root_test build/dev/tests/keeper_test; do
        "$program" >"$work/root.log" 2>&1
        verdict "$(basename "$program")" $? "$work/root.log"
      done
      ;;
    critest*)
      start_registry
      # critest, critest-HANDLER
      handler=${test#critest}
      with_daemon "$test" tests/cri/critest.sh "$skip" "${handler#-}"
      tail -1 "$work/$test.log"
      ;;
    apparmor)
      start_registry
      needs "$test" "$has_apparmor"
      filtered "$test" '*.C1AppArmor*:*.B5*:*.B7*:*.B14*' security_cri_test
      filtered "$test-fields" '*AppArmor*' fields_cri_test
      ;;
    selinux)
      start_registry
      needs "$test" "$([[ ! -e /sys/fs/selinux/enforce ]] || echo Y)"
      with_daemon "$test" tests/cri/critest.sh none '' SELinux
      filtered "$test-fields" 'Selinux*' fields_cri_test
      ;;
    containment)
      start_registry
      filtered "$test" '*CgroupEscape*' security_cri_test
      ;;
    kubelet)
      start_registry
      with_daemon "$test" python3 tests/kubelet/kubelet_test.py
      ;;
    *_cri_test)
      start_registry
      with_daemon "$test" "build/dev/tests/$test"
      ;;
    *)
      start_registry
      with_daemon "$test" "tests/cri/$test.sh"
      ;;
  esac
done
exit "$failed"
