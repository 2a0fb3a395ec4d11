#!/usr/bin/env bash
# What boot.sh runs in the machine: the tests named, or all, each in the way
# hack/test.sh runs them, with a line for each.
#
#   tests/vm/inside.sh cgroupfs|systemd [TEST...]
set -uo pipefail

driver=${1:?usage: inside.sh cgroupfs|systemd [TEST...]}
shift
tests=("$@")
((${#tests[@]})) || tests=(check root crictl_walk isolation resources restart)
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
  hack/with_caissond.sh -- "$@" \
    >"$work/$name.log" 2>&1
  verdict "$name" $? "$work/$name.log"
}

# As an operator's node has it; a machine has AppArmor or SELinux.
if [[ $(cat /sys/module/apparmor/parameters/enabled) == Y ]]; then
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
    selinux)
      start_registry
      with_daemon "$test" tests/cri/critest.sh none '' SELinux
      tail -1 "$work/$test.log"
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
