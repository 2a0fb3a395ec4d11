#!/usr/bin/env bash
# Invariant 7: what is asked for and missing is an error.  For each system call
# that isolation is made of a daemon of its own runs on a kernel without it:
# either it does not start, or the step that needs the call fails and says so.
# No container comes to run without.  Runs in with_caissond.sh, whose images
# the others copy; only cases that match the regular expression $1, if given.
set -uo pipefail
: "${CRICTL:?path of crictl}"
export CAISSON_SEED=$CAISSON_TEST_DIR/root
work=$CAISSON_TEST_DIR/missing
mkdir -p "$work"
"$CRICTL" -r "$CONTAINER_RUNTIME_ENDPOINT" -i "$CONTAINER_RUNTIME_ENDPOINT" \
  pull docker.io/library/busybox:latest >/dev/null 2>&1 || exit 1

# The call, as invariants/without.sh takes it, and what is said of it.  "start
# fork server" is the daemon's, which then ends.  "pull/": of the puller.
cases() {
  cat <<'EOF'
clone3                    start fork server: fork process
memfd_create              start fork server: create memory file
open_tree                 start fork server: build stage: clone mount /proc
mount_setattr             start fork server: build stage: set attributes of mount
move_mount                start fork server: build stage: attach mount
move_mount:2=0xffffff9c   attach mount at
fsopen                    start fork server: build stage: open filesystem tmpfs
fsconfig                  start fork server: build stage: configure tmpfs
fsmount                   start fork server: build stage: mount tmpfs
pivot_root                start fork server: build stage: change root
umount2                   start fork server: build stage: change root
unshare                   start fork server: build stage: make mount namespace
prctl:0=4                 serve forks: forbid dumping
prctl:0=3                 serve forks: forbid dumping: still dumpable
openat2                   run pod sandbox: open
setns:1=0x10000000        enter-pod-namespaces: enter namespace user
setns:1=0x08000000        enter-pod-namespaces: enter namespace ipc
setns:1=0x04000000        enter-pod-namespaces: enter namespace uts
setns:1=0x00020000        enter-host-mounts: enter namespace mnt
setns:1=0x02000000        enter-container-namespaces: enter namespace cgroup
setns:1=0x20000000        enter-container-namespaces: enter namespace pid
setgroups                 make-namespaces: set supplementary groups
setresgid                 make-namespaces: set group
setresuid                 make-namespaces: set user
sethostname               configure-namespaces: set hostname
setsid                    start-session: start session
getcwd                    enter-working-directory: check working directory
close_range               close-keeper-files: close files
prctl:0=24                drop-bounding-set: drop capability
prctl:0=8                 switch-user: keep capabilities
capset                    set-capabilities: set capabilities
prctl:0=47                set-capabilities: clear ambient capabilities
prctl:0=38                forbid-new-privileges: forbid new privileges
prctl:0=39                read-back: compare no_new_privileges
capget                    read-back: read capabilities
seccomp                   load-seccomp: load seccomp filter
pull/capset               pull docker.io/library/busybox:latest: set capabilities
pull/prctl:0=38           pull docker.io/library/busybox:latest: forbid new privileges
pull/landlock_create_ruleset  latest: create landlock ruleset
pull/landlock_restrict_self   latest: enforce landlock ruleset
pull/seccomp+prctl:0=22   pull docker.io/library/busybox:latest: load seccomp filter
EOF
}

try() { # try CALL PATTERN
  local log=$work/${1/\//-} seed=$CAISSON_SEED what=
  [[ $1 != pull/* ]] || { seed= what=pull; }
  CAISSON_SEED=$seed CAISSON_WRAPPER="tests/security/invariants/without.sh ${1#pull/}" \
    hack/with_caissond.sh -- tests/security/invariants/start_container.sh $what \
    >"$log" 2>&1
  if grep -qx runs "$log" || ! grep -qF -- "$2" "$log"; then
    printf 'missing_kernel: without %s: not "%s" but:\n%s\n' "$1" "$2" \
      "$(tail -5 "$log" | cut -c1-500)" >"$log.failed"
  fi
}

count=0
while read -r call pattern; do
  [[ $call =~ ${1:-.} ]] || continue
  count=$((count + 1))
  # As many at a time as there are cores.
  while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n; done
  try "$call" "$pattern" </dev/null &
done < <(cases)
# The control: where nothing is missing the container runs.
try swapoff nothing
grep -qx runs "$work/swapoff" || echo "missing_kernel: the control does not run"
grep -qx runs "$work/swapoff" && rm "$work/swapoff.failed"
wait
if cat "$work"/*.failed 2>/dev/null; then exit 1; fi
echo "missing_kernel: $count calls were missing, and no container ran"
