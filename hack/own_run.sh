# shellcheck shell=bash
# Sourced by the scripts that give a command a daemon of its own: what a run is
# named by, and how what it made goes away again.
#
#   own_names PREFIX   sets bridge, subnet and group, of this process alone
own_names() {
  bridge=$1$$
  # 10.128.0.0/9 in pieces of 1024 addresses.
  local piece=$(($$ % 8192))
  subnet=10.$((128 + piece / 64)).$((piece % 64 * 4)).0/22
  # Without hyphens, which make a slice another's child.
  group=caissonrun$$
  # The plugin portmap makes chains for all its ports and leaves them when the
  # last port is gone: what this run brought goes with it.
  local tool
  had_chains=" $(for tool in iptables ip6tables; do
    portmap_chains "$tool" && printf '%s ' "$tool"
  done || true)"
}

portmap_chains() { "$1" -t nat -S 2>/dev/null | grep -q '^-N CNI-HOSTPORT-DNAT$'; }

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

remove_network() {
  ip link delete "$bridge" 2>/dev/null
  remove_chains iptables
  remove_chains ip6tables
}

# Where cgroups are made: one folder on v2, one a hierarchy on v1.
hierarchies() { findmnt -rno TARGET -t cgroup,cgroup2; }

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
  for base in $(hierarchies); do
    [[ -d $base/$1 ]] || continue
    find "$base/$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}

end_process() { # end_process PID: SIGTERM, and five seconds to obey
  kill "$1" 2>/dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.05
  done
}

unmount_below() { # unmount_below DIR
  cut -d' ' -f5 /proc/self/mountinfo | grep "^$1/" | sort -r |
    while read -r point; do
      # The table has blanks as octal numbers.
      umount -l "$(printf %b "$point")"
    done
}

# Sets CAISSON_TEST_REGISTRY to one with the tests' images unless it is set.
own_registry() { # own_registry DIR
  if [[ -z ${CAISSON_TEST_REGISTRY:-} ]]; then
    CAISSON_TEST_REGISTRY=$("$here/registry.sh" start "$1")
    as_owner "$here/make_images.sh" "$CAISSON_TEST_REGISTRY" \
      "${CAISSON_TEST_IMAGES:-all}" >/dev/null
  fi
  export CAISSON_TEST_REGISTRY
}

write_mirrors() { # write_mirrors DIR: for all hosts that tests name
  local host
  for host in registry.k8s.io gcr.io k8s.gcr.io docker.io; do
    mkdir -p "$1/$host"
    cat >"$1/$host/hosts.toml" <<END
[host."http://$CAISSON_TEST_REGISTRY"]
capabilities = ["pull", "resolve"]
END
  done
}

write_network() { # write_network CONF-DIR IPAM-DIR
  mkdir -p "$1"
  cat >"$1/10-bridge.conflist" <<END
{"cniVersion": "1.0.0", "name": "$bridge", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$subnet"}]],
            "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$2"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
}

# Until the daemon PID has started, which CMD tells; 10 s.
await_daemon() { # await_daemon PID LOG CMD...
  local pid=$1 log=$2
  shift 2
  for _ in $(seq 400); do
    ! "$@" || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.025
  done
  echo "$(basename "$0"): the daemon did not start:" >&2
  cat "$log" >&2
  return 1
}
