#!/usr/bin/env bash
# What a container can see and do, told by caisson-probe from inside it: as the
# container's own process ("main") and as an exec.  Runs in with_caissond.sh.
set -euo pipefail
: "${CRICTL:?path of crictl}"
here=$CAISSON_TEST_DIR/isolation
mkdir -p "$here/logs" "$here/volume"
cat >"$here/crictl.yaml" <<EOS
runtime-endpoint: $CONTAINER_RUNTIME_ENDPOINT
image-endpoint: $CONTAINER_RUNTIME_ENDPOINT
EOS
echo data >"$here/volume/file"
image=docker.io/library/caisson-probe:latest
failures=0
number=0

crictl() { "$CRICTL" --config "$here/crictl.yaml" "$@" 2>>"$here/crictl.log"; }

fail() { echo "isolation: $1" >&2; failures=$((failures + 1)); }

expect() { # expect WHAT JSON FILTER: jq's FILTER holds for JSON
  jq -e "$3" >/dev/null <<<"$2" ||
    fail "$1: not $3 in $(jq -c . <<<"$2" | head -c 2000)"
}

pod() { # pod SECURITY [HANDLER]: runs one, prints its id
  number=$((number + 1))
  cat >"$here/pod.json" <<EOS
{"metadata": {"name": "p$number-$BASHPID", "namespace": "isolation", "uid": "u$BASHPID", "attempt": 0},
 "log_directory": "$here/logs", "hostname": "inside",
 "linux": {"security_context": $1}}
EOS
  crictl runp ${2:+--runtime=$2} "$here/pod.json"
}

# As the kubelet sends them.
paths='"masked_paths": ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys",
  "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
  "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
 "readonly_paths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]'

container() { # container POD CONFIG: starts one, prints its id
  local id
  jq -c ". * $2" >"$here/container.json" <<EOS
{"metadata": {"name": "c$RANDOM$RANDOM"}, "image": {"image": "$image"},
 "command": ["/caisson-probe", "sleep"], "log_path": "c.log",
 "linux": {"security_context": {$paths}}}
EOS
  id=$(crictl create "$1" "$here/container.json" "$here/pod.json")
  crictl start "$id" >/dev/null
  echo "$id"
}

main() { # main POD CONFIG: the report of a container's own process
  local id
  id=$(container "$1" "$2 * {\"command\": [\"/caisson-probe\", \"report\"]}")
  until [[ $(crictl inspect "$id" | jq -r .status.state) == CONTAINER_EXITED ]]; do
    sleep 0.05 # crictl has no way to wait
  done
  crictl logs "$id"
  crictl rm "$id" >/dev/null
}

probe() { # probe CONTAINER COMMAND...: by exec
  crictl exec -s "$1" /caisson-probe "${@:2}"
}

locked_mounts() {
  local id mount tried
  id=$(container "$plain" "{
    \"mounts\": [
      {\"host_path\": \"$here/volume\", \"container_path\": \"/read-only\", \"readonly\": true},
      {\"host_path\": \"$here/volume\", \"container_path\": \"/all\", \"readonly\": true, \"recursive_read_only\": true}],
    \"linux\": {\"security_context\": {\"readonly_rootfs\": true,
      \"capabilities\": {\"add_capabilities\": [\"SYS_ADMIN\"]}}}}")
  for mount in / /read-only /all /dev /dev/null /dev/shm /etc/hosts; do
    tried=$(probe "$id" try-remount "$mount")
    expect "flags of $mount" "$tried" '.before == .after'
    expect "umount of $mount" "$tried" \
      '[.attempts[] | select(.call | startswith("umount")) | .errno] | all(. != "OK")'
  done
  # Their flags are there to be lost in the first place.
  expect "read-only root" "$(probe "$id" try-remount /)" '.before | contains(["ro", "nodev"])'
  expect "read-only volume" "$(probe "$id" try-remount /read-only)" '.before | contains(["ro"])'
  expect "hardened shared memory" "$(probe "$id" try-remount /dev/shm)" \
    '.before | contains(["nosuid", "nodev", "noexec"])'
  expect "write to a read-only volume" "$(probe "$id" write /read-only/file x)" \
    '[.attempts[].errno] | index("EROFS") != null'
  # What the kernel mounts for the pod's own namespaces: sysfs stays read-only.
  expect "read-only sysfs" "$(probe "$id" try-remount /sys)" '.after | contains(["ro"])'
  [[ $(<"$here/volume/file") == data ]] || fail "the volume was written to"
}

identity() {
  local large id report
  large=$(pod '{"run_as_user": {"value": 1000650000}, "supplemental_groups": [70000]}')
  report=$(main "$large" '{"linux": {"security_context":
    {"run_as_user": {"value": 1000650000}, "supplemental_groups": [70000]}}}')
  expect "large uid" "$report" \
    '.uid == 1000650000 and .euid == 1000650000 and (.groups | index(70000) != null)'
  expect "map of the large uid" "$report" '[.uid_map[] | select(.[0] == 1000650000)] | length == 1'
  expect "no capability of the user" "$report" \
    '.capabilities | .effective == "0000000000000000" and .permitted == "0000000000000000"'
  id=$(container "$large" '{"linux": {"security_context": {"run_as_user": {"value": 1000650000}}}}')
  expect "large uid by exec" "$(probe "$id" report)" '.uid == 1000650000'
  crictl rmp -f "$large" >/dev/null
  report=$(main "$plain" '{}')
  expect "range of ids" "$report" '.uid_map[0][0] == 0 and .uid_map[0][1] >= 65536
    and .uid_map[0][2] == 65536 and .uid_map == .gid_map'
  first=$(jq '.uid_map[0][1]' <<<"$report")
  second=$(main "$other" '{}' | jq '.uid_map[0][1]')
  [[ $first != "$second" ]] || fail "two pods have one range: $first"
}

privileges() {
  local report
  report=$(main "$plain" '{"linux": {"security_context": {"no_new_privs": true,
    "seccomp": {"profile_type": 0},
    "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["NET_ADMIN"]}}}}')
  expect "one capability" "$report" '.capabilities | .bounding == "0000000000001000"
    and .permitted == .bounding and .effective == .bounding
    and .inheritable == "0000000000000000" and .ambient == .inheritable'
  expect "no_new_privileges" "$report" '.no_new_privileges == 1'
  expect "seccomp filter" "$report" '.seccomp == 2 and .seccomp_filters == 1'
  report=$(main "$plain" '{"linux": {"security_context": {"seccomp": {"profile_type": 1}}}}')
  expect "default capabilities" "$report" '.capabilities.bounding == "00000000000005fb"'
  expect "unconfined" "$report" '.seccomp == 0 and .no_new_privileges == 0'
  report=$(main "$plain" '{"linux": {"security_context": {"run_as_user": {"value": 1000},
    "capabilities": {"add_ambient_capabilities": ["NET_BIND_SERVICE"]}}}}')
  expect "ambient capability" "$report" '.uid == 1000 and .capabilities.ambient == "0000000000000400"
    and .capabilities.effective == .capabilities.ambient'
  report=$(main "$plain" '{"linux": {"security_context":
    {"capabilities": {"add_capabilities": ["ALL"]}}}}')
  expect "all capabilities" "$report" '.capabilities.effective == "000001ffffffffff"'
}

nothing_of_the_host() {
  local report id
  id=$(container "$plain" '{"linux": {"security_context": {"seccomp": {"profile_type": 0}}},
    "envs": [{"key": "A", "value": "b"}]}')
  for report in "$(main "$plain" '{"envs": [{"key": "A", "value": "b"}]}')" "$(probe "$id" report)"; do
    expect "descriptors" "$report" '[.fds[].fd] == [0, 1, 2]'
    expect "what they are" "$report" '[.fds[].target | select(startswith("pipe:") or . == "/dev/null")] | length == 3'
    expect "environment" "$report" '[.environment[] | split("=")[0]] | sort == ["A", "HOME", "HOSTNAME", "PATH"]'
    expect "mount points" "$report" '[.mounts[].mountpoint | select(test("^/$|^/(dev|proc|sys)(/|$)|^/etc/(hosts|hostname|resolv.conf)$") | not)] == []'
    expect "filesystems" "$report" '[.mounts[].fstype] | unique | . - ["cgroup2", "devpts", "devtmpfs", "ext4", "mqueue", "overlay", "proc", "sysfs", "tmpfs", "xfs"] == []'
    expect "signals" "$report" '.signals_blocked == "0000000000000000" and .signals_ignored == "0000000000000000"'
    expect "tracer" "$report" '.tracer_pid == 0'
  done
  expect "pid of the main process" \
    "$(main "$plain" '{"linux": {"security_context": {"namespace_options": {"pid": 1}}}}')" \
    '.pid == 1 and .ppid == 0 and .session == 1'
}

pods_apart() {
  local one two
  one=$(container "$plain" '{}')
  two=$(container "$other" '{}')
  probe "$one" write /dev/shm/secret x >/dev/null
  expect "own shared memory" "$(probe "$one" stat /dev/shm/secret)" '[.attempts[].errno] | index("OK") != null'
  expect "another's shared memory" "$(probe "$two" stat /dev/shm/secret)" '[.attempts[].errno] | all(. == "ENOENT")'
  local host_pid
  host_pid=$(crictl inspect "$one" | jq .info.pid)
  expect "another's process" "$(probe "$two" kill "$host_pid" 0)" '[.attempts[].errno] | all(. == "ESRCH")'
  expect "another's files in /proc" "$(probe "$two" stat "/proc/$host_pid/root")" '[.attempts[].errno] | all(. == "ENOENT")'
  expect "a process of its own" "$(probe "$two" kill 1 0)" '[.attempts[].errno] | index("OK") != null'
  expect "device nodes" "$(probe "$one" mknod /tmp/node)" '[.attempts[] | select(.call | test("character|block")) | .errno] | all(. == "EPERM")'
}

crictl pull "$image" >/dev/null
plain=$(pod '{}')
other=$(pod '{}')
for topic in locked_mounts identity privileges nothing_of_the_host pods_apart; do
  "$topic"
  echo "isolation: $topic: done"
done
crictl rmp -f "$plain" "$other" >/dev/null
((failures == 0)) || { tail -5 "$here/crictl.log" >&2; exit 1; }
echo "isolation: all assertions hold"
