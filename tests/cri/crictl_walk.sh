#!/usr/bin/env bash
# Every everyday command of crictl against the daemon of with_caissond.sh.
set -euo pipefail
crictl=${CRICTL:?path of crictl}
dir=$CAISSON_TEST_DIR/walk
mkdir -p "$dir/logs"
crictl() { "$crictl" --config "$dir/crictl.yaml" "$@"; }
cat >"$dir/crictl.yaml" <<EOF
runtime-endpoint: $CONTAINER_RUNTIME_ENDPOINT
image-endpoint: $CONTAINER_RUNTIME_ENDPOINT
timeout: 30
EOF
check() { # check WHAT TEXT PATTERN
  if ! grep -qE -- "$3" <<<"$2"; then
    printf 'crictl_walk: %s: no %s in:\n%s\n' "$1" "$3" "$2" >&2
    exit 1
  fi
}

check version "$(crictl version)" 'RuntimeName:  caisson'
crictl pull busybox >/dev/null
check images "$(crictl images)" 'docker.io/library/busybox +latest'
check inspecti "$(crictl inspecti busybox)" '"PATH=/bin:/usr/bin"'
cat >"$dir/pod.json" <<EOF
{"metadata": {"name": "walk", "namespace": "default", "uid": "walk-1", "attempt": 1},
 "log_directory": "$dir/logs", "linux": {}}
EOF
cat >"$dir/container.json" <<EOF
{"metadata": {"name": "main"}, "image": {"image": "busybox"}, "log_path": "main.log",
 "command": ["sh", "-c", "echo hello from \$(id -u); sleep 1000"],
 "linux": {"security_context": {"namespace_options": {"pid": 1}, "seccomp": {"profile_type": 0}}}}
EOF
pod=$(crictl runp "$dir/pod.json")
check pods "$(crictl pods)" 'Ready +walk'
check inspectp "$(crictl inspectp "$pod")" '"hostId": [0-9]{6,}'
container=$(crictl create "$pod" "$dir/container.json" "$dir/pod.json")
check 'ps -a' "$(crictl ps -a)" 'Created +main'
crictl start "$container" >/dev/null
check ps "$(crictl ps)" 'Running +main'
check inspect "$(crictl inspect "$container")" '"seccompMode": 2'
check 'exec -s' "$(crictl exec -s "$container" id -u)" '^0$'
for _ in $(seq 100); do
  [[ -s $dir/logs/main.log ]] && break
  sleep 0.05
done
check logs "$(crictl logs "$container")" '^hello from 0$'
crictl stop "$container" >/dev/null
check 'ps exited' "$(crictl ps -a)" 'Exited +main'
crictl rm "$container" >/dev/null
crictl stopp "$pod" >/dev/null
check 'pods stopped' "$(crictl pods)" 'NotReady +walk'
crictl rmp "$pod" >/dev/null
crictl rmi busybox >/dev/null
[[ -z $(crictl pods -q)$(crictl ps -aq) ]]
echo "crictl_walk: all commands work"
