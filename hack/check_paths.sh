#!/usr/bin/env bash
# Fails where a path is resolved by anything but runtime/kernel/path.h in the
# folders that work below roots which are not ours, and where a file is read
# without a bound.  What may is listed at the end, each with its reason; a line
# of the list that fits nothing fails, too.
set -euo pipefail
cd "$(dirname "$0")/.."
core=(runtime/kernel runtime/mount runtime/rootfs runtime/keeper)
bad=0
used=$(mktemp)
trap 'rm -f "$used"' EXIT

by_path='open|creat|openat|fopen|freopen|opendir|stat|lstat|access|mount|umount'
by_path+='|umount2|mkdir|mkdirat|rmdir|unlink|unlinkat|rename|renameat2?|chown'
by_path+='|lchown|fchownat|chmod|fchmodat|realpath|readlink|readlinkat|symlink'
by_path+='|symlinkat|link|linkat|mknod|mknodat|truncate|chdir|chroot|statfs'
by_path+='|ListDirectory|canonicalize_file_name|nftw|ftw|glob|dlopen|system|popen'
by_path+='|MakeDirector(y|ies)|MakeParents|ReadRegularFile|WriteFile|RemoveTree'
by_path+='|getpw[a-z_]*|getgr(nam|gid|ent)[a-z_]*|getaddrinfo|execvpe?'

allowed() { # the list, without its comments
  sed -n '/^# ALLOWED/,$p' "$0" | sed -nE 's/^# +([^ ]+\.cc) \| (.*)$/\1 | \2/p'
}

# ban WHAT PERL-REGEX FOLDER...: no line of code but those of the list.
ban() {
  local what=$1 regex=$2 hit file code entry fits
  shift 2
  while IFS= read -r hit; do
    file=${hit%%:*}
    code=${hit#*:*:}
    fits=
    while IFS= read -r entry; do
      [[ ${entry%% | *} == "$file" ]] || continue
      entry=${entry#* | }
      [[ $code == *"${entry%% | *}"* ]] || continue
      fits=1
      echo "$file | $entry" >>"$used"
    done < <(allowed)
    if [[ -z $fits ]]; then
      echo "check_paths: $what: $hit" >&2
      bad=1
    fi
  done < <(grep -rnP --include='*.cc' --include='*.h' "$regex" "$@" |
    grep -vP '^[^:]+:\d+:\s*//' || true)
}

ban "resolved in one place only (runtime/kernel/path.cc)" \
  '(?<![a-z])openat2(?!\.h)|\bRESOLVE_[A-Z]' runtime shim
ban "by path in the isolation core" \
  "(?<!UniqueFd )(?<![.>\\w])($by_path)\\(|std::filesystem|std::[io]?fstream" \
  "${core[@]}"
ban "read without a bound (runtime/base/read_file.h)" \
  'istreambuf_iterator|\bgetline\(|\.rdbuf\(\)' runtime shim

while IFS= read -r entry; do
  if ! grep -qxF -- "$entry" "$used"; then
    echo "check_paths: nothing fits: $entry" >&2
    bad=1
  fi
done < <(allowed)
exit "$bad"

# ALLOWED: file | a part of the line | why
# runtime/kernel/path.cc | SYS_openat2 | the one place
# runtime/kernel/path.cc | RESOLVE_ | the one place
# runtime/kernel/path.cc | mkdirat(directory, name.c_str() | one component, by fd
# runtime/kernel/path.cc | fchownat(directory, name.c_str() | one component, by fd, no link is followed
# runtime/kernel/path.cc | openat(directory, name.c_str() | one component, by fd, no link is followed
# runtime/kernel/path.cc | openat(parent, name.c_str() | one component, by fd, new and no link
# runtime/kernel/path.cc | readlinkat(directory, name.c_str() | one component, by fd; what it says is looked up in the root
# runtime/kernel/apparmor.cc | ReadRegularFile(kEnabled | sysfs of the host, by the daemon
# runtime/kernel/apparmor.cc | ReadRegularFile(kProfiles | securityfs of the host, by the daemon
# runtime/kernel/mount_api.cc | ::mount(nullptr, "/" | propagation, of all mounts that we see
# runtime/kernel/selinux_policy.cc | ReadRegularFile(path, kMost) | the host's policy, by the daemon
# runtime/kernel/mount_table.cc | ReadRegularFile(kTable | the mount table of the namespace we are in
# runtime/kernel/command.cc | chdir("/") | the root of whoever runs the program
# runtime/kernel/procfs.cc | open("/proc", O_PATH | looked at, and all else is opened beneath it
# runtime/kernel/selinux.cc | openat(directory, name, O_PATH | one component, by fd, no link is followed
# runtime/mount/source.cc | open(above.empty() | a volume's source, among the host's mounts, once
# runtime/mount/source.cc | fd.reset(open(path.c_str() | the same, once made
# runtime/mount/source.cc | MakeDirectories(path, 0755) | a volume's source, among the host's mounts
# runtime/mount/tree.cc | ssize_t length = readlink( | of an fd of our own, among the host's mounts
# runtime/rootfs/adopt.cc | openat(directory, name | one component, by fd, no link is followed
# runtime/rootfs/adopt.cc | fchownat(file->get(), "" | of a file by fd
# runtime/rootfs/adopt.cc | open(upper.c_str() | the daemon's own directory of the container
# runtime/rootfs/devices.cc | symlinkat(link.target, dev, link.name) | a constant name in a tmpfs just made
# runtime/rootfs/devices.cc | mkdirat(dev, name, 0755) | a constant name in a tmpfs just made
# runtime/rootfs/devices.cc | mknodat(dev, name.data() | one component in a tmpfs just made
# runtime/rootfs/devices.cc | ListDirectory(directory) | the host's /dev, before the stage
# runtime/rootfs/devices.cc | lstat(directory.c_str(), &base) | the host's /dev, before the stage
# runtime/rootfs/devices.cc | lstat(path.c_str(), &facts) | the host's /dev, before the stage
# runtime/rootfs/devices.cc | stat(path, &facts) | the host's /dev, before the stage
# runtime/rootfs/devices.cc | mknodat(directory, name | one component, by fd, in what nobody else can change yet
# runtime/rootfs/devices.cc | unlinkat(directory, name | one component, by fd, in what nobody else can change yet
# runtime/rootfs/devices.cc | fchownat(directory, name | one component, by fd, no link is followed
# runtime/rootfs/devices.cc | fchmodat(directory, name | one component, by fd, just made
# runtime/kernel/command.cc | openat(cgroup_, "cgroup.kill" | one component, by fd, of the kernel's own filesystem
# runtime/rootfs/overlay.cc | chdir(plan.home.c_str()) | a directory of the stage
# runtime/keeper/pod_init.cc | chdir(kStageRoot) | a directory of the stage
# runtime/keeper/pod_init.cc | open(".", O_PATH | the directory we stand on
# runtime/keeper/stage.cc | mkdirat(stage | constant names in a tmpfs just made
# runtime/keeper/stage.cc | open("/", O_PATH | the root of the host, to build the stage on
# runtime/keeper/stage.cc | umount2(".", MNT_DETACH) | the old root, after pivot_root
# runtime/keeper/stage.cc | mkdir(path.c_str(), 0711) | a mount point of the stage
# runtime/keeper/stage.cc | mknod(path.c_str(), S_IFREG | a mount point of the stage
# runtime/keeper/create_hooks.cc | realpath(path.c_str(), real) | the daemon's own directory of the container
# runtime/keeper/create_hooks.cc | open(lent.rootfs.c_str() | the daemon's own directory of the container
# runtime/keeper/create_hooks.cc | umount2(".", MNT_DETACH) | the mount we stand on
# runtime/keeper/create_hooks.cc | chdir("/") | the root we stand in
# runtime/keeper/init_hooks.cc | umount2(path.c_str() | a mount point of the stage
# runtime/keeper/init_namespaces.cc | open("/", O_PATH | takes the container's root by fd
# runtime/keeper/init_devices.cc | mkdir(place.c_str(), 0700) | a directory of the stage
# runtime/keeper/init_mounts.cc | chdir("/") | the root we stand in
# runtime/keeper/init_mounts.cc | open(".", O_PATH | the root we stand on
# runtime/keeper/init_mounts.cc | umount2(".", MNT_DETACH) | the old root, after pivot_root
# runtime/keeper/init_mounts.cc | open("/", O_PATH | takes the container's root by fd
# runtime/keeper/pod_steps.cc | mkdir(path.c_str(), 0711) | the daemon's own directory of the pod
# runtime/keeper/pod_steps.cc | open(path.c_str(), O_PATH | the daemon's own directory of the pod
# runtime/keeper/pod_steps.cc | umount2(path.c_str() | the daemon's own directory of the pod
# runtime/keeper/pod_steps.cc | rmdir(path.c_str()) | the daemon's own directory of the pod
# runtime/keeper/host_mounts.cc | open("/proc/self/ns/mnt" | of the fork server, before any namespace
