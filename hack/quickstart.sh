#!/usr/bin/env bash
# From a fresh clone to two pods that are root inside and two different
# nobodies outside: installs what is needed, builds, starts a registry and a
# caissond of its own, shows the isolation, and removes everything again.
set -euo pipefail
# shellcheck source=hack/as_root.sh
. "$(dirname "$0")/as_root.sh"
become_root "$@"
cd "$(dirname "$0")/.."

if [[ -z ${CAISSON_QUICKSTART_INSIDE:-} ]]; then
  echo "== install and build"
  hack/install_deps.sh
  give_back
  [[ -f build/dev/build.ninja ]] || as_owner cmake --preset dev >/dev/null
  as_owner ninja -C build/dev caissond caisson-keeper caisson-puller caissonctl |
    tail -1
  export CAISSON_QUICKSTART_INSIDE=1 CAISSON_TEST_IMAGES=busybox
  exec hack/with_caissond.sh -- hack/quickstart.sh
fi

ctl=build/dev/bin/caissonctl
dir=$CAISSON_TEST_DIR
runs=()
fail() { echo "quickstart: $1" >&2; exit 1; }

# The first writes a file into its root, prints who it is, and stays.
start() { # start NAME
  "$ctl" run --name "$1" busybox -- sh -c \
    "id; cat /proc/self/uid_map; echo secret of $1 >/root/file; exec sleep 1000" \
    >"$dir/$1.out" 2>&1 &
  runs+=($!)
  for _ in $(seq 200); do
    [[ $(wc -l <"$dir/$1.out") -ge 2 ]] && return
    sleep 0.05
  done
  cat "$dir/$1.out" >&2
  fail "$1 did not start"
}

echo "== two pods: who they are, and their map of user ids (inside, outside, count)"
start first
start second
for pod in first second; do sed "s/^/$pod: /" "$dir/$pod.out"; done

echo "== the host's view: caissonctl ps"
"$ctl" ps

pid_of() { # pid_of NAME: of its sleep, from the list
  "$ctl" ps | awk -v name="$1" '$2 == name { print $(NF - 1) }' | tail -1
}
first=$(pid_of first)
second=$(pid_of second)
echo "== the host's view: owners of the processes, and of a file each made"
ps -o pid,uid,args -p "$first,$second"
uid_first=$(stat -c %u "/proc/$first")
uid_second=$(stat -c %u "/proc/$second")
find "$dir/root/containers" -path '*/upper/root/file' -printf '%U  %p\n'
[[ $uid_first != 0 && $uid_second != 0 && $uid_first != "$uid_second" ]] ||
  fail "the pods' root is not two different nobodies"

echo "== what the first pod's root can do to the other and to the host"
# Its own ids and nothing else, in the host's view of processes and files: what
# a break-out would have.
as_first() { setpriv --reuid "$uid_first" --regid "$uid_first" --clear-groups "$@"; }
denied() { # denied WHAT CMD...
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then fail "it can $what"; fi
  echo "denied: $what"
}
denied "signal the second pod's root" as_first kill -0 "$second"
denied "signal a process of the host" as_first kill -0 1
denied "read the second pod's environment" as_first cat "/proc/$second/environ"
denied "look into the second pod's root" as_first ls "/proc/$second/root/"
denied "read the second pod's file" as_first \
  cat "$(find "$dir/root/containers" -path '*/upper/root/file' -uid "$uid_second")"
denied "read the host's shadow file" as_first cat /etc/shadow
inside() { "$ctl" run busybox -- sh -c "$1"; }
seen=$(inside 'ls -d /proc/[0-9]* | wc -l')
echo "processes a pod sees: $seen"
((seen <= 3)) || fail "a pod sees processes that are not its own"

echo "== stop and remove everything"
"$ctl" remove --all
wait "${runs[@]}" 2>/dev/null || true
"$ctl" ps
echo "quickstart: done"
