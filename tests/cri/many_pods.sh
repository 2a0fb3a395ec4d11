#!/usr/bin/env bash
# 200 pods at once, each with a range of host ids of its own, read from
# /proc/PID/uid_map; all removed, and nothing left.
set -euo pipefail
crictl=${CRICTL:?path of crictl}
count=${1:-200}
dir=$CAISSON_TEST_DIR/many
mkdir -p "$dir"
crictl() { "$crictl" --config "$dir/crictl.yaml" "$@"; }
cat >"$dir/crictl.yaml" <<EOF
runtime-endpoint: $CONTAINER_RUNTIME_ENDPOINT
image-endpoint: $CONTAINER_RUNTIME_ENDPOINT
timeout: 60
EOF
crictl pull busybox >/dev/null

one() { # one N: a pod with a container
  local n=$1
  mkdir -p "$dir/$n"
  cat >"$dir/$n/pod.json" <<EOF
{"metadata": {"name": "pod$n", "namespace": "default", "uid": "u$n", "attempt": 1},
 "log_directory": "$dir/$n", "linux": {}}
EOF
  cat >"$dir/$n/container.json" <<EOF
{"metadata": {"name": "main"}, "image": {"image": "busybox"}, "log_path": "main.log",
 "command": ["sleep", "1000"],
 "linux": {"security_context": {"namespace_options": {"pid": 1}}}}
EOF
  local pod container
  pod=$(crictl runp "$dir/$n/pod.json")
  container=$(crictl create "$pod" "$dir/$n/container.json" "$dir/$n/pod.json")
  crictl start "$container" >/dev/null
  crictl inspect "$container" | jq -r .info.pid >"$dir/$n/pid"
}

for n in $(seq "$count"); do
  one "$n" 2>>"$dir/errors" &
  # Ten at a time.
  while (($(jobs -rp | wc -l) >= 10)); do wait -n; done
done
wait
pids=$(cat "$dir"/*/pid)
[[ $(wc -l <<<"$pids") == "$count" ]] || { tail "$dir/errors" >&2; exit 1; }
ranges=$(for pid in $pids; do awk '{ print $2 }' "/proc/$pid/uid_map"; done)
[[ $(sort -u <<<"$ranges" | wc -l) == "$count" ]] || {
  echo "many_pods: ranges are shared" >&2
  exit 1
}
if grep -qx 0 <<<"$ranges"; then
  echo "many_pods: a pod has the host's ids" >&2
  exit 1
fi
"$CAISSON_BIN/caissonctl" remove --all
for pid in $pids; do
  if [[ -e /proc/$pid/root ]] && kill -0 "$pid" 2>/dev/null; then
    echo "many_pods: process $pid is left" >&2
    exit 1
  fi
done
left=$(ls "$CAISSON_TEST_DIR"/run/{pods,netns,keepers} "$CAISSON_TEST_DIR"/root/containers |
  grep -vE ':$|^$' || true)
[[ -z $left ]] || { echo "many_pods: left: $left" >&2; exit 1; }
echo "many_pods: $count pods with $count ranges, all removed"
