#!/usr/bin/env bash
# A registry of one's own on a free port of loopback (Debian's docker-registry).
#
#   hack/registry.sh start DIR   prints host:port; its data is in DIR
#   hack/registry.sh stop DIR
set -euo pipefail

usage() { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
(($# == 2)) || usage
dir=$2

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start() {
  mkdir -p "$dir/data"
  local port
  port=$(free_port)
  cat >"$dir/config.yml" <<EOF
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $dir/data}
  delete: {enabled: true}
http: {addr: 127.0.0.1:$port}
EOF
  setsid docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  for _ in $(seq 200); do
    if curl -fs "http://127.0.0.1:$port/v2/" >/dev/null 2>&1; then
      echo "127.0.0.1:$port"
      return
    fi
    kill -0 "$(<"$dir/pid")" 2>/dev/null || break
    sleep 0.05
  done
  echo "registry: it did not start:" >&2
  cat "$dir/log" >&2
  exit 1
}

stop() {
  [[ -f $dir/pid ]] || return 0
  kill "$(<"$dir/pid")" 2>/dev/null || true
  rm -f "$dir/pid"
}

case $1 in
  start) start ;;
  stop) stop ;;
  *) usage ;;
esac
