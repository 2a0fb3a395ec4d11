#!/usr/bin/env bash
# Invariants of the catalogue over the functional tests: what
# keepers, their children and pullers really did, as strace saw it.  Runs in
# with_caissond.sh, from the checkout's root.
#
#   invariants.sh [PART...]   keepers dumpable pullers table (default: all)
#
# CAISSON_WORKLOAD: the functional tests to run, a filter of GoogleTest.
set -uo pipefail
: "${CRICTL:?path of crictl}"
work=$CAISSON_TEST_DIR/invariants
checks=tests/security/invariants
daemon=$(<"$CAISSON_TEST_DIR/caissond.pid")
server=$(pgrep -P "$daemon" -f 'caisson-keeper --fork-server')
bad=0
mkdir -p "$work"/{logs,volume}
fail() { echo "invariants: $1"; bad=1; }

crictl() { "$CRICTL" --config "$work/crictl.yaml" "$@"; }
cat >"$work/crictl.yaml" <<EOF
runtime-endpoint: $CONTAINER_RUNTIME_ENDPOINT
image-endpoint: $CONTAINER_RUNTIME_ENDPOINT
timeout: 30
EOF

# All that takes a path, makes a process, or changes who one is.
calls=%file,%process,%creds,prctl,setns,unshare,open_tree,move_mount
calls+=,mount_setattr,fsopen,fsconfig,fsmount,fspick,fchmod,fchown,ftruncate
calls+=,write,pwrite64,close_range,fcntl,seccomp,keyctl,capset,memfd_create
calls+=,fstatfs,fstat,ioctl,fchdir,setsid,landlock_restrict_self

traced=
trace() { # trace FILE PID: from here on, it and what it forks
  strace -f -y -qq -s 256 -o "$1" -e "trace=$calls" -p "$2" 2>"$1.log" &
  traced=$!
  while grep -qE '^TracerPid:\s+0$' "/proc/$2/task"/*/status; do
    kill -0 "$traced" 2>/dev/null || { cat "$1.log"; exit 1; }
    sleep 0.02
  done
}
end_trace() {
  kill -INT "$traced" 2>/dev/null
  wait "$traced" 2>/dev/null
  traced=
}
trap '[[ -z $traced ]] || end_trace' EXIT

workload() { # workload NAME CMD...
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 && return
  fail "the workload $name failed: $(grep -E 'FAILED|Failure|rror' "$work/$name.log" | head -3)"
}

# What the functional tests lack: a terminal, and a program that is not in the
# first directory of its PATH.
terminal() { # terminal HANDLER
  local pod container
  cat >"$work/pod.json" <<EOF
{"metadata": {"name": "tty", "namespace": "n", "uid": "tty$1", "attempt": 0},
 "log_directory": "$work/logs",
 "linux": {"sysctls": {"net.ipv4.ip_unprivileged_port_start": "81"}}}
EOF
  cat >"$work/container.json" <<EOF
{"metadata": {"name": "tty"}, "image": {"image": "busybox"}, "tty": true, "stdin": true,
 "command": ["busybox", "sleep", "1000"], "log_path": "tty$1.log",
 "envs": [{"key": "PATH", "value": "/nowhere:/bin"}],
 "mounts": [{"host_path": "$work/volume", "container_path": "/a/b/volume"}],
 "linux": {"security_context": {"no_new_privs": true, "seccomp": {"profile_type": 0}}}}
EOF
  crictl pull busybox >/dev/null || return
  pod=$(crictl runp ${1:+--runtime=$1} "$work/pod.json") || return
  container=$(crictl create "$pod" "$work/container.json" "$work/pod.json") || return
  crictl start "$container" >/dev/null || return
  crictl exec -s "$container" true || return
  crictl rmp -f "$pod" >/dev/null
}

# Invariants 1, 3 to 6, 8 to 11: the keepers' side of the functional tests.
part_keepers() {
  trace "$work/keepers" "$server"
  workload crictl_walk tests/cri/crictl_walk.sh
  workload terminal terminal ""
  workload terminal_host terminal caisson-requested
  workload fields build/dev/tests/fields_cri_test \
    --gtest_filter="${CAISSON_WORKLOAD:-*}"
  end_trace
  python3 $checks/check_trace.py keepers "$work/keepers" "$server" || bad=1
}

# Invariant 11 where the machine lets whoever changes ids be traced: the audit
# of each created container (tests/cri/fields/audit.h) says if somebody can.
part_dumpable() {
  local knob=/proc/sys/fs/suid_dumpable
  if ! was=$(<"$knob") || ! { echo 1 >"$knob"; } 2>/dev/null; then
    echo "invariant 11: $knob can't be set here: only the trace was looked at"
    return
  fi
  trap 'echo "$was" >/proc/sys/fs/suid_dumpable; [[ -z $traced ]] || end_trace' EXIT
  workload dumpable build/dev/tests/fields_cri_test \
    --gtest_filter='*User*:*Privilege*:*PidNamespace*'
  echo "$was" >"$knob"
  ((bad)) || echo "invariant 11: holds with fs.suid_dumpable=1"
}

# Invariants 16 and 17: what pullers do, and where a password goes.
part_pullers() {
  local secret=Caisson-Secret-$RANDOM-$RANDOM encoded port
  python3 $checks/asking_registry.py "user:$secret" "$work/registry" &
  local registry=$!
  until [[ -s $work/registry.port ]]; do
    kill -0 $registry || return
    sleep 0.02
  done
  port=$(<"$work/registry.port")
  trace "$work/pullers" "$daemon"
  crictl rmi --all >/dev/null 2>&1
  workload pull crictl pull busybox
  workload pull_probe crictl pull docker.io/library/caisson-probe:latest
  # The registry has no image: both end in errors, which could tell.
  crictl pull --creds "user:$secret" "127.0.0.1:$port/some/thing:latest" \
    >"$work/right.log" 2>&1
  crictl pull --creds "user:x$secret" "127.0.0.1:$port/some/thing:latest" \
    >"$work/wrong.log" 2>&1
  end_trace
  kill $registry
  wait $registry 2>/dev/null
  python3 $checks/check_trace.py pullers "$work/pullers" "$daemon" || bad=1
  grep -qx right "$work/registry.seen" || fail "17: the password did not arrive"
  grep -qx wrong "$work/registry.seen" || fail "17: no wrong password arrived"
  encoded=$(printf 'user:%s' "$secret" | base64 | cut -c1-24)
  grep -hF 'execve(' "$work/pullers" >"$work/commands"
  local file
  for file in "$CAISSON_TEST_DIR/caissond.log" "$work"/{right,wrong}.log "$work/commands"; do
    [[ -s $file ]] || fail "17: $file is empty"
    if grep -qF -e "$secret" -e "$encoded" "$file"; then
      fail "17: the password is in $file: $(grep -F -e "$secret" -e "$encoded" "$file" | head -1)"
    fi
  done
  ((bad)) || echo "invariant 17: a password went to the registry and nowhere else"
}

part_table() { python3 $checks/check_table.py || bad=1; }

for part in "${@:-keepers dumpable pullers table}"; do
  for each in $part; do "part_$each"; done
done
((bad == 0)) || exit 1
echo "invariants: all hold"
