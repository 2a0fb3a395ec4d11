#!/usr/bin/env bash
# Runs a command with a containerd of its own, from hack/build_peer.sh:
#
#   hack/with_containerd.sh -- CMD...
#
# It is to with_caissond.sh what containerd is to caissond: root, state, socket,
# bridge and cgroups are of this run alone, images come from the same registry,
# CMD finds the socket in CONTAINER_RUNTIME_ENDPOINT, and all is removed at the
# end.  Its mounts are in a mount namespace that goes with its processes.
#
# A user's call becomes root's by sudo, CMD with it.
set -euo pipefail
# shellcheck source=hack/as_root.sh
. "$(dirname "$0")/as_root.sh"
become_root "$@"
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=hack/own_run.sh
. "$here/own_run.sh"
bin=$(realpath "$here/../build/tools")

[[ ${1:-} == -- ]] && shift && (($#)) ||
  { echo "usage: with_containerd.sh -- CMD..." >&2; exit 2; }
[[ -x $bin/containerd && -x $bin/runc ]] ||
  { echo "with_containerd: not built: hack/build_peer.sh" >&2; exit 1; }

# A socket of a shim must fit into 38 bytes and a hash.
dir=$(mktemp -d /var/tmp/caisson-peer.XXXXXX)
own_names cp
daemon=
made_cache=

remove_pods() {
  # Through the CRI, so that CNI gives back what it took.
  if [[ -x $bin/crictl ]]; then
    timeout 120 "$bin/crictl" -r "$CONTAINER_RUNTIME_ENDPOINT" rmp -fa
  fi >/dev/null 2>&1
}

clean_up() {
  local code=$?
  trap - EXIT
  set +e
  if [[ -n $daemon ]] && kill -0 "$daemon" 2>/dev/null; then
    remove_pods
    end_process "$daemon"
  fi
  kill_group "$group"
  remove_group "$group"
  "$here/registry.sh" stop "$dir/registry"
  unmount_below "$dir"
  remove_network
  [[ -z $made_cache ]] || rmdir "$cache" 2>/dev/null
  rm -rf --one-file-system "$dir"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$dir/run"
# As /run is.
mount -t tmpfs -o mode=755 caisson-peer "$dir/run"
own_registry "$dir/registry"
write_mirrors "$dir/hosts"
write_network "$dir/cni" "$dir/ipam"
# restrict_oom_score_adj: a machine's root may lack CAP_SYS_RESOURCE.
cat >"$dir/config.toml" <<EOF
version = 3
root = "$dir/root"
state = "$dir/run"

[grpc]
address = "$dir/run/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
path = "$dir/opt"

[plugins."io.containerd.nri.v1.nri"]
socket_path = "$dir/run/nri.sock"
plugin_path = "$dir/opt"
plugin_config_path = "$dir/opt"

[plugins."io.containerd.shim.v1.manager"]
socket_dir = "$dir/run/s"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "$dir/hosts"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
cdi_spec_dirs = ["$dir/cdi"]

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
conf_dir = "$dir/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "$bin/runc"
Root = "$dir/run/runc"
EOF

# Containers whose requests name no cgroup come below the daemon's.
enter_group() {
  local base part
  for base in $(hierarchies); do
    for part in "$group" "$group/daemon"; do
      mkdir "$base/$part"
      # v1's cpuset takes nobody in before it has both.
      if [[ -f $base/$part/cpuset.mems && ! -f $base/$part/cgroup.type ]]; then
        cat "$base/cpuset.cpus" >"$base/$part/cpuset.cpus"
        cat "$base/cpuset.mems" >"$base/$part/cpuset.mems"
      fi
    done
    echo 0 >"$base/$group/daemon/cgroup.procs"
  done
}

# Where its CNI library keeps results: no configuration names another place.
cache=/var/lib/cni
[[ -d $cache ]] || { mkdir "$cache" && made_cache=1; }

(
  enter_group
  export PATH=$bin:$PATH
  exec unshare --mount --propagation private sh -c \
    'mount -t tmpfs caisson-peer "$0" && exec "$@"' "$cache" \
    "$bin/containerd" --config "$dir/config.toml" --log-level warn
) >"$dir/containerd.log" 2>&1 </dev/null &
daemon=$!
export CONTAINER_RUNTIME_ENDPOINT=unix://$dir/run/containerd.sock
export IMAGE_SERVICE_ENDPOINT=$CONTAINER_RUNTIME_ENDPOINT
await_daemon "$daemon" "$dir/containerd.log" test -S "$dir/run/containerd.sock"

code=0
"$@" || code=$?
exit "$code"
