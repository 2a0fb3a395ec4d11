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
# shellcheck source=hack/own_run.sh
. "$here/own_run.sh"
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
own_names cb
daemon=

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
    end_process "$daemon"
  fi
  kill_group "$group"
  kill_group "$group.keepers"
  [[ ${CAISSON_CGROUP_DRIVER:-} != systemd ]] ||
    systemctl stop "$group.slice" "$group.keepers.scope" 2>/dev/null
  remove_group "$group"
  remove_group "$group.keepers"
  "$here/registry.sh" stop "$dir/registry"
  unmount_below "$dir"
  remove_network
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

mkdir -p "$dir"/{cdi,logs,run}
# As /run is.
mount -t tmpfs -o mode=755 caisson-run "$dir/run"
own_registry "$dir/registry"
write_mirrors "$dir/hosts"
write_network "$dir/cni" "$dir/ipam"
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
await_daemon "$daemon" "$dir/caissond.log" \
  grep -q 'serving the CRI' "$dir/caissond.log"

code=0
"$@" || code=$?
exit "$code"
