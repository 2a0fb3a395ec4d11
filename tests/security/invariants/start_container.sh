#!/usr/bin/env bash
# Runs a container that asks for all kinds of isolation, step by step, or pulls
# an image (start_container.sh pull), and says which step failed and why; "runs"
# when none did.
set -uo pipefail
dir=$CAISSON_TEST_DIR
cat >"$dir/crictl.yaml" <<EOF
runtime-endpoint: $CONTAINER_RUNTIME_ENDPOINT
image-endpoint: $CONTAINER_RUNTIME_ENDPOINT
timeout: 20
EOF
mkdir -p "$dir/volume"
cat >"$dir/pod.json" <<EOF
{"metadata": {"name": "p", "namespace": "n", "uid": "u", "attempt": 0},
 "log_directory": "$dir/logs", "linux": {"sysctls": {"net.ipv4.ip_unprivileged_port_start": "81"}}}
EOF
cat >"$dir/container.json" <<EOF
{"metadata": {"name": "c"}, "image": {"image": "docker.io/library/busybox:latest"},
 "command": ["sleep", "1000"], "log_path": "c.log",
 "mounts": [{"host_path": "$dir/volume", "container_path": "/volume", "readonly": true}],
 "linux": {"security_context": {"namespace_options": {"pid": 1}, "no_new_privs": true,
   "run_as_user": {"value": 1000}, "readonly_rootfs": true, "seccomp": {"profile_type": 0},
   "capabilities": {"drop_capabilities": ["ALL"]}}}}
EOF
step() { # step NAME ARGUMENTS...: prints what crictl prints, or ends
  local name=$1
  shift
  timeout 30 "$CRICTL" --config "$dir/crictl.yaml" "$@" 2>"$dir/error" && return
  echo "$name failed: $(grep -o 'desc = .*' "$dir/error" || cat "$dir/error")"
  grep ' error \|warning' "$dir/caissond.log" | tail -3
  return 1
}
if [[ ${1:-} == pull ]]; then
  step PullImage pull docker.io/library/busybox:latest >"$dir/out" &&
    echo runs || cat "$dir/out"
  exit
fi
pod=$(step RunPodSandbox runp "$dir/pod.json") || { echo "$pod"; exit; }
container=$(step CreateContainer create "$pod" "$dir/container.json" "$dir/pod.json") ||
  { echo "$container"; exit; }
step StartContainer start "$container" >"$dir/out" || { cat "$dir/out"; exit; }
step ExecSync exec -s "$container" true >"$dir/out" || { cat "$dir/out"; exit; }
echo runs
