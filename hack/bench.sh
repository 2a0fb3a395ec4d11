#!/usr/bin/env bash
# Measures caissond beside a peer in one run, and judges the rows by their
# ratios:
#
#   hack/bench.sh [BENCH-OPTION...]                beside containerd and runc
#   hack/bench.sh --against REV [BENCH-OPTION...]  beside the caissond of that
#                                                  git revision: no row may be
#                                                  worse by more than 5 %
#
# It builds both, starts each on an ext4 with a journal, as nodes have it, and
# prints the table of caisson-bench, whose options (--help) follow.  Fails when
# a row misses what it must reach.  The machine should have nothing else to do:
# its load is printed before and after.
set -euo pipefail
# shellcheck source=hack/as_root.sh
. "$(dirname "$0")/as_root.sh"
become_root "$@"
cd "$(dirname "$0")/.."

against=
if [[ ${1:-} == --against ]]; then
  against=${2:?usage: bench.sh --against REV [BENCH-OPTION...]}
  shift 2
fi
options=("$@")
programs=(caissond caisson-keeper caisson-puller caissonctl)

build_tree() { # build_tree DIR TARGET...
  local dir=$1
  shift
  (cd "$dir" && as_owner cmake --preset dev >/dev/null)
  as_owner "${CAISSON_NINJA:-ninja}" -C "$dir/build/dev" "$@" >/dev/null
}

# The tree of a revision, kept by its name: a second run builds nothing.
tree_of() { # tree_of REV
  local commit dir
  commit=$(as_owner git rev-parse --verify "$1^{commit}")
  dir=$PWD/build/against/$commit
  if [[ ! -d $dir ]]; then
    as_owner rm -rf "$dir.new"
    as_owner mkdir -p "$dir.new"
    as_owner git archive "$commit" | as_owner tar -x -C "$dir.new"
    as_owner mv "$dir.new" "$dir"
  fi
  echo "$dir"
}

build_all() {
  build_tree . "${programs[@]}" caisson-bench caisson-nnp caisson-probe
  if [[ -n $against ]]; then
    tree=$(tree_of "$against")
    build_tree "$tree" "${programs[@]}"
  else
    as_owner hack/build_peer.sh
  fi
}

# Whether a folder is on what nodes have.  Without a journal ext4 looks through
# the inodes that were deleted a moment ago for each new one.
is_fit() { # is_fit DIR
  local device type
  read -r device type < <(findmnt -nro SOURCE,FSTYPE -T "$1")
  device=$(basename "$(realpath "$device")")
  case $type in
    ext4) compgen -G "/proc/fs/jbd2/$device-*" >/dev/null ;;
    xfs | btrfs) true ;;
    *) false ;;
  esac
}

# Over /var/tmp, where both daemons' folders are, and for us alone.  File, loop
# device and mount go with the last process that uses them.
mount_disk() {
  local file device
  file=$(mktemp /var/tmp/caisson-disk.XXXXXX)
  truncate -s 24G "$file"
  mkfs.ext4 -q -F -N 1000000 -E nodiscard,lazy_itable_init=0 "$file"
  device=$(losetup --find --show --direct-io=on "$file")
  mount "$device" /var/tmp
  losetup --detach "$device"
  rm "$1/$(basename "$file")"
  chmod 1777 /var/tmp
}

start_registry() {
  work=$(mktemp -d /var/tmp/caisson-bench.XXXXXX)
  trap 'hack/registry.sh stop "$work/registry"; rm -rf "$work"' EXIT
  CAISSON_TEST_REGISTRY=$(hack/registry.sh start "$work/registry")
  export CAISSON_TEST_REGISTRY
  as_owner hack/make_images.sh "$CAISSON_TEST_REGISTRY" >/dev/null
  big=$(as_owner hack/make_big_image.sh "$CAISSON_TEST_REGISTRY")
}

# The peer's daemon inside of ours, and the bench inside of both.
measure() { # measure NAME WITH-PEER...
  local name=$1
  shift
  # What is written to logs is measured, too.
  TMPDIR=$work hack/with_caissond.sh -- bash -c \
    'export CAISSON_BENCH_FIRST=$CONTAINER_RUNTIME_ENDPOINT; exec "$@"' - \
    "$@" -- bash -c 'exec build/dev/bin/caisson-bench "$@" \
      --endpoint "$CAISSON_BENCH_FIRST" \
      --endpoint "$CONTAINER_RUNTIME_ENDPOINT"' - \
    --name caisson --name "$name" --image docker.io/library/busybox:latest \
    --pull-image "$big" --judge "${limits[@]}" "${options[@]}"
}

load() { echo "load $1: $(cut -d' ' -f1-3 /proc/loadavg)"; }

if [[ -z ${CAISSON_BENCH_INSIDE:-} ]]; then
  build_all
  give_back
  export CAISSON_BENCH_INSIDE=1 CAISSON_BENCH_TREE=${tree:-}
  exec unshare --mount --propagation private "$0" ${against:+--against "$against"} \
    "${options[@]}"
fi
load before
if ! is_fit /var/tmp; then
  # The way to the file once something is mounted over it.
  exec {below}</var/tmp
  mount_disk "/proc/self/fd/$below"
  exec {below}<&-
fi
start_registry
code=0
if [[ -n $against ]]; then
  limits=(--at-least 0.95 --rounds 100 --part-rounds 5)
  for _ in 1 2; do
    limits+=(--process-pattern 'caissond|caisson-keeper')
  done
  CAISSON_BIN='' measure "$against" env CAISSON_BIN="$CAISSON_BENCH_TREE/build/dev/bin" \
    "$CAISSON_BENCH_TREE/hack/with_caissond.sh" || code=$?
else
  limits=(--process-pattern 'caissond|caisson-keeper'
    --process-pattern 'containerd|/pause')
  measure containerd hack/with_containerd.sh || code=$?
fi
load after
exit "$code"
