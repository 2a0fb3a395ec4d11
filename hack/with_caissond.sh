#!/usr/bin/env bash
# Runs a command with a caissond of its own:
#
#   hack/with_caissond.sh [--config FILE] [--keep] -- CMD...
#
# Everything the daemon makes is below one temporary folder ($CAISSON_TEST_DIR),
# under cgroups, ids and a bridge of this run alone, so several runs at once
# don't disturb each other.  CMD finds the socket in CONTAINER_RUNTIME_ENDPOINT.
# At the end all is removed (--keep: the folder stays) and CMD's exit code is
# returned.  --config adds a file's lines to the configuration.
#
# Images of registry.k8s.io, gcr.io, k8s.gcr.io and docker.io come from the
# registry named by CAISSON_TEST_REGISTRY (host:port), else from a fresh one
# that hack/make_images.sh fills with CAISSON_TEST_IMAGES (all or busybox).
# CAISSON_CGROUP_DRIVER: cgroupfs or systemd.
# CAISSON_WRAPPER: words before the daemon's command line, of a program that
# becomes it (or stays beside it, as strace -D does).
# A user's call becomes root's by sudo, CMD with it.
set -euo pipefail
# shellcheck source=hack/as_root.sh
. "$(dirname "$0")/as_root.sh"
become_root "$@"
here=$(cd "$(dirname "$0")" && pwd)
bin=${CAISSON_BIN:-$here/../build/dev/bin}

extra=
keep=
while (($#)); do
  case $1 in
    --config) extra=$2; shift 2 ;;
    --keep) keep=1; shift ;;
    --) shift; break ;;
    *) echo "usage: with_caissond.sh [--config FILE] [--keep] -- CMD..." >&2; exit 2 ;;
  esac
done
(($#)) || { echo "with_caissond: no command" >&2; exit 2; }

dir=$(mktemp -d /var/tmp/caisson-run.XXXXXX)
# As /var/lib is: what is below must protect itself.
chmod 755 "$dir"
export CAISSON_TEST_DIR=$dir
run=$$
bridge=cb$run
# A subnet of this run: 10.128.0.0/9 in pieces of 1024 addresses.
piece=$((run % 8192))
subnet=10.$((128 + piece / 64)).$((piece % 64 * 4)).0/22
# Without hyphens, which make a slice another's child.
group=caissonrun$run
daemon=

layout_dirs() { ls -d /sys/fs/cgroup/*/ /sys/fs/cgroup/ 2>/dev/null; }

# The plugin portmap makes chains for all its ports and leaves them when the
# last port is gone: what this run brought goes with it.
portmap_chains() { "$1" -t nat -S 2>/dev/null | grep -q '^-N CNI-HOSTPORT-DNAT$'; }
had_chains=" $(for tool in iptables ip6tables; do
  portmap_chains "$tool" && printf '%s ' "$tool"
done || true)"
remove_chains() { # remove_chains TOOL
  local nat=("$1" -w -t nat) rule chain
  [[ $had_chains != *" $1 "* ]] && portmap_chains "$1" || return 0
  # Ports of another run.
  ! "${nat[@]}" -S CNI-HOSTPORT-DNAT | grep -q '^-A' || return 0
  "${nat[@]}" -S | sed -nE 's/^-A ((PREROUTING|OUTPUT|POSTROUTING) .*-j CNI-HOSTPORT-)/\1/p' |
    while read -r rule; do
      # Quotes of comments are in it.
      eval "\"$1\" -w -t nat -D $rule"
    done
  for chain in DNAT MASQ SETMARK; do
    "${nat[@]}" -F "CNI-HOSTPORT-$chain" && "${nat[@]}" -X "CNI-HOSTPORT-$chain"
  done 2>/dev/null
}

kill_group() { # kill_group NAME: all processes in a cgroup of this run
  local base
  for base in /sys/fs/cgroup /sys/fs/cgroup/unified; do
    [[ -e $base/$1/cgroup.kill ]] || continue
    echo 1 >"$base/$1/cgroup.kill" 2>/dev/null || true
    for _ in $(seq 100); do
      grep -q 'populated 0' "$base/$1/cgroup.events" && break
      sleep 0.05
    done
  done
}

remove_group() { # remove_group NAME
  local base
  for base in $(layout_dirs); do
    [[ -d $base/$1 ]] || continue
    find "$base/$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}

clean_up() {
  local code=$?
  trap - EXIT
  set +e
  # CMD may have put another in its place.
  [[ ! -f $dir/caissond.pid ]] || daemon=$(<"$dir/caissond.pid")
  if [[ -n $daemon ]] && kill -0 "$daemon" 2>/dev/null; then
    # Through the CRI first, so that CNI gives back what it took.
    timeout 60 "$bin/caissonctl" remove --all >/dev/null 2>"$dir/remove.log" ||
      cat "$dir/remove.log" >&2
    kill "$daemon" 2>/dev/null
    for _ in $(seq 100); do
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.05
    done
  fi
  kill_group "$group"
  kill_group "$group.keepers"
  [[ ${CAISSON_CGROUP_DRIVER:-} != systemd ]] ||
    systemctl stop "$group.slice" "$group.keepers.scope" 2>/dev/null
  remove_group "$group"
  remove_group "$group.keepers"
  [[ -z ${CAISSON_TEST_REGISTRY_OWN:-} ]] || "$here/registry.sh" stop "$dir/registry"
  cut -d' ' -f5 /proc/self/mountinfo | grep "^$dir/" | sort -r |
    while read -r point; do
      # The table has blanks as octal numbers.
      umount -l "$(printf %b "$point")"
    done
  ip link delete "$bridge" 2>/dev/null
  remove_chains iptables
  remove_chains ip6tables
  if [[ -n $keep ]]; then
    echo "with_caissond: kept $dir" >&2
  else
    rm -rf --one-file-system "$dir"
  fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$dir"/{cdi,cni,hosts,logs,run}
# As /run is.
mount -t tmpfs -o mode=755 caisson-run "$dir/run"
if [[ -z ${CAISSON_TEST_REGISTRY:-} ]]; then
  CAISSON_TEST_REGISTRY_OWN=1
  CAISSON_TEST_REGISTRY=$("$here/registry.sh" start "$dir/registry")
  as_owner "$here/make_images.sh" "$CAISSON_TEST_REGISTRY" \
    "${CAISSON_TEST_IMAGES:-all}" >/dev/null
fi
export CAISSON_TEST_REGISTRY

for host in registry.k8s.io gcr.io k8s.gcr.io docker.io; do
  mkdir -p "$dir/hosts/$host"
  cat >"$dir/hosts/$host/hosts.toml" <<EOF
[host."http://$CAISSON_TEST_REGISTRY"]
capabilities = ["pull", "resolve"]
EOF
done
cat >"$dir/cni/10-bridge.conflist" <<EOF
{"cniVersion": "1.0.0", "name": "$bridge", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$subnet"}]],
            "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$dir/ipam"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
cat >"$dir/config.toml" <<EOF
root = "$dir/root"
state = "$dir/run"
socket = "$dir/run/caisson.sock"
kubelet_dir = "$dir/kubelet"
allow_faults = true

[cni]
conf_dir = "$dir/cni"

[cdi]
spec_dirs = ["$dir/cdi"]

[registry]
hosts_dir = "$dir/hosts"

[identity]
first = $((268435456 + run % 64 * 16777216))
slots = 256

[cgroup]
parent = "$group"
keepers = "$group.keepers"
driver = "${CAISSON_CGROUP_DRIVER:-auto}"

[limits.rlimits]
core = "0:65536"
msgqueue = "unlimited"

# For tests of what the policies do.
[handlers.test-strict]
host_path = "refuse"
capability_ceiling = ["CHOWN", "KILL", "NET_ADMIN"]

[handlers.test-unmapped]
host_path = "unmapped"
unmappable = "unmapped"
device_ownership_from_security_context = true

[handlers.test-host]
user_namespace = "requested"
privileged_without_host_devices = true
device_ownership_from_security_context = true
EOF
[[ -z $extra ]] || cat "$extra" >>"$dir/config.toml"

# shellcheck disable=SC2086
${CAISSON_WRAPPER:-} "$bin/caissond" --config "$dir/config.toml" \
  >"$dir/caissond.log" 2>&1 &
daemon=$!
echo "$daemon" >"$dir/caissond.pid"
export CONTAINER_RUNTIME_ENDPOINT=unix://$dir/run/caisson.sock
export IMAGE_SERVICE_ENDPOINT=$CONTAINER_RUNTIME_ENDPOINT
for _ in $(seq 400); do
  grep -q 'serving the CRI' "$dir/caissond.log" && break
  if ! kill -0 "$daemon" 2>/dev/null; then
    echo "with_caissond: caissond did not start:" >&2
    cat "$dir/caissond.log" >&2
    exit 1
  fi
  sleep 0.025
done

code=0
"$@" || code=$?
exit "$code"
