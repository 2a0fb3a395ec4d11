#!/usr/bin/env bash
# Limits: as asked at creation, changed by UpdateContainerResources, and as
# before when a change fails half way.  Runs in with_caissond.sh.
set -euo pipefail
: "${CRICTL:?path of crictl}"
here=$CAISSON_TEST_DIR/resources
mkdir -p "$here"
cat >"$here/crictl.yaml" <<EOF
runtime-endpoint: $CONTAINER_RUNTIME_ENDPOINT
image-endpoint: $CONTAINER_RUNTIME_ENDPOINT
EOF
crictl() { "$CRICTL" --config "$here/crictl.yaml" "$@" 2>>"$here/errors"; }

die() { echo "resources: $1" >&2; exit 1; }

# Of the machine's kind of hierarchy: limit V1_CONTROLLER/V1_FILE V2_FILE.
limit() {
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    cat "/sys/fs/cgroup$cgroup/$2"
  else
    cat "/sys/fs/cgroup/${1%/*}$cgroup/${1#*/}"
  fi
}

expect() { # expect WHAT WANTED GOT
  [[ $2 == "$3" ]] || die "$1: $3, not $2"
}

crictl pull busybox >/dev/null
cat >"$here/pod.json" <<EOF
{"metadata": {"name": "limited", "namespace": "default", "uid": "r1", "attempt": 0},
 "linux": {"overhead": {"memory_limit_in_bytes": 16777216},
           "resources": {"memory_limit_in_bytes": 268435456}}}
EOF
cat >"$here/container.json" <<EOF
{"metadata": {"name": "main"}, "image": {"image": "busybox"}, "command": ["sleep", "1000"],
 "linux": {"resources": {"memory_limit_in_bytes": 134217728, "cpu_shares": 256,
                         "cpu_period": 100000, "cpu_quota": 20000}}}
EOF
pod=$(crictl runp "$here/pod.json")
container=$(crictl create "$pod" "$here/container.json" "$here/pod.json")
crictl start "$container" >/dev/null
pid=$(crictl inspect "$container" | jq .info.pid)
cgroup=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
memory() { limit memory/memory.limit_in_bytes memory.max; }
quota() { limit cpu/cpu.cfs_quota_us cpu.max | cut -d' ' -f1; }
status() { # status FIELD: of the limits that the CRI tells
  crictl inspect "$container" | jq -r ".status.resources.linux.$1"
}

expect 'memory at creation' 134217728 "$(memory)"
expect 'quota at creation' 20000 "$(quota)"
whole=$cgroup
cgroup=${cgroup%/*}
expect "the pod's memory" 285212672 "$(memory)"
cgroup=$whole

crictl update --memory 67108864 --cpu-quota 50000 "$container" >/dev/null
expect 'memory after the update' 67108864 "$(memory)"
expect 'quota after the update' 50000 "$(quota)"
expect 'memory in the status' 67108864 "$(status memoryLimitInBytes)"
expect 'what was not named' 256 "$(status cpuShares)"

# No machine has that processor: nothing of the request stays.
if crictl update --memory 33554432 --cpu-quota 10000 --cpuset-cpus 4095 "$container"; then
  die 'an impossible cpuset was taken'
fi
expect 'memory after a failed update' 67108864 "$(memory)"
expect 'quota after a failed update' 50000 "$(quota)"
expect 'memory in the status after it' 67108864 "$(status memoryLimitInBytes)"

if crictl update --cpu-quota -2 "$container"; then
  die 'a negative quota was taken'
fi
tail -1 "$here/errors" | grep -q 'InvalidArgument.*linux.cpu_quota: .*-2' ||
  die "unclear error: $(tail -1 "$here/errors")"
crictl rmp -f "$pod" >/dev/null
echo 'resources: limits are as asked'
