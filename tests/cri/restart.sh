#!/usr/bin/env bash
# kill -9 of caissond under 20 running pods: containers and logs go on, the
# restarted daemon lists them all, and exit codes of those that ended
# meanwhile are right.
set -euo pipefail
crictl=${CRICTL:?path of crictl}
bin=${CAISSON_BIN:?directory of the programs}
dir=$CAISSON_TEST_DIR/restart
mkdir -p "$dir"
crictl() { "$crictl" --config "$dir/crictl.yaml" "$@"; }
cat >"$dir/crictl.yaml" <<EOF
runtime-endpoint: $CONTAINER_RUNTIME_ENDPOINT
image-endpoint: $CONTAINER_RUNTIME_ENDPOINT
timeout: 30
EOF
crictl pull busybox >/dev/null
containers=()
for n in $(seq 20); do
  mkdir -p "$dir/$n"
  cat >"$dir/$n/pod.json" <<EOF
{"metadata": {"name": "pod$n", "namespace": "default", "uid": "u$n", "attempt": 1},
 "log_directory": "$dir/$n", "linux": {"security_context": {"namespace_options": {"network": 2}}}}
EOF
  # Odd ones end, with a code of their own, when the file appears.
  cat >"$dir/$n/container.json" <<EOF
{"metadata": {"name": "main"}, "image": {"image": "busybox"}, "log_path": "main.log",
 "command": ["sh", "-c", "while [ ! -e /go/end ]; do sleep 0.1; done; echo late; [ $((n % 2)) = 0 ] && sleep 1000; exit $n"],
 "mounts": [{"container_path": "/go", "host_path": "$dir/go"}],
 "linux": {"security_context": {"namespace_options": {"pid": 1, "network": 2}}}}
EOF
  mkdir -p "$dir/go"
  pod=$(crictl runp "$dir/$n/pod.json")
  container=$(crictl create "$pod" "$dir/$n/container.json" "$dir/$n/pod.json")
  crictl start "$container" >/dev/null
  containers+=("$container")
done

kill -9 "$(<"$CAISSON_TEST_DIR/caissond.pid")"
touch "$dir/go/end"
for n in $(seq 20); do
  for _ in $(seq 200); do
    grep -q late "$dir/$n/main.log" && break
    sleep 0.05
  done
  grep -q late "$dir/$n/main.log" || { echo "restart: no log of $n" >&2; exit 1; }
done
"$bin/caissond" --config "$CAISSON_TEST_DIR/config.toml" \
  >>"$CAISSON_TEST_DIR/caissond.log" 2>&1 &
daemon=$!
echo "$daemon" >"$CAISSON_TEST_DIR/caissond.pid"
for _ in $(seq 200); do
  crictl version >/dev/null 2>&1 && break
  sleep 0.05
done
[[ $(crictl pods -q | wc -l) == 20 ]] || { echo "restart: pods are lost" >&2; exit 1; }
for n in $(seq 20); do
  text=$(crictl inspect "${containers[n - 1]}")
  state=$(jq -r .status.state <<<"$text")
  code=$(jq -r .status.exitCode <<<"$text")
  if ((n % 2)); then want="CONTAINER_EXITED $n"; else want="CONTAINER_RUNNING 0"; fi
  if [[ "$state $code" != "$want" ]]; then
    echo "restart: container $n is $state $code, not $want" >&2
    exit 1
  fi
done
"$bin/caissonctl" remove --all
kill "$daemon"
wait "$daemon" || true
echo "restart: 20 pods went on under a killed daemon"
