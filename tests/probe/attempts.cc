#include "tests/probe/attempts.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "tests/probe/report.h"

namespace caisson::probe {
namespace {

// One call: its name and the errno of `result`.
void Attempt(JsonWriter& json, const char* call, long result) {
  const int error = result < 0 ? errno : 0;
  json.BeginObject().Key("call").String(call);
  ReportErrno(json, error);
  json.EndObject();
}

void Begin(JsonWriter& json, const char* command) {
  json.BeginObject().Key("command").String(command);
  json.Key("attempts").BeginArray();
}

void End(JsonWriter& json) {
  json.EndArray().EndObject();
}

// The flags of the mount as mount(2) takes them.
unsigned long MountFlags(const char* path) {
  struct statvfs facts = {};
  if (statvfs(path, &facts) != 0) {
    return 0;
  }
  // The first four bits mean the same in both calls.
  unsigned long flags = facts.f_flag & 0xf;
  flags |= (facts.f_flag & ST_NOATIME) != 0 ? MS_NOATIME : 0;
  flags |= (facts.f_flag & ST_NODIRATIME) != 0 ? MS_NODIRATIME : 0;
  flags |= (facts.f_flag & ST_RELATIME) != 0 ? MS_RELATIME : 0;
  return flags;
}

void FlagNames(JsonWriter& json, const char* key, unsigned long flags) {
  json.Key(key).BeginArray();
  for (const auto& [bit, name] :
       {std::pair(MS_RDONLY, "ro"), std::pair(MS_NOSUID, "nosuid"),
        std::pair(MS_NODEV, "nodev"), std::pair(MS_NOEXEC, "noexec")}) {
    if ((flags & static_cast<unsigned long>(bit)) != 0) {
      json.String(name);
    }
  }
  json.EndArray();
}

void RemountWithout(JsonWriter& json, const char* call, const char* path,
                    unsigned long flags) {
  Attempt(json, call,
          mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | flags, nullptr));
}

void ClearAttribute(JsonWriter& json, const char* call, const char* path,
                    uint64_t attribute, unsigned flags) {
  mount_attr change = {};
  change.attr_clr = attribute;
  Attempt(json, call,
          mount_setattr(AT_FDCWD, path, flags, &change, sizeof(change)));
}

// A copy of the mount, changed before it is attached anywhere.
void ClearOnCopy(JsonWriter& json, const char* path) {
  const int copy =
      open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  Attempt(json, "open_tree clone", copy);
  if (copy < 0) {
    return;
  }
  mount_attr change = {};
  change.attr_clr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  Attempt(json, "mount_setattr clear on clone",
          mount_setattr(copy, "", AT_EMPTY_PATH, &change, sizeof(change)));
  close(copy);
}

void TryDevice(JsonWriter& json, const char* path, const char* call,
               const char* open_call, mode_t type, dev_t device) {
  const int made = mknod(path, type | 0600, device);
  Attempt(json, call, made);
  if (made != 0) {
    return;
  }
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  Attempt(json, open_call, fd);
  if (fd >= 0) {
    close(fd);
  }
  unlink(path);
}

int SocketFamily(std::string_view name) {
  for (const auto& [known, number] :
       {std::pair("unix", AF_UNIX), std::pair("inet", AF_INET),
        std::pair("inet6", AF_INET6), std::pair("netlink", AF_NETLINK),
        std::pair("packet", AF_PACKET), std::pair("vsock", AF_VSOCK),
        std::pair("alg", AF_ALG), std::pair("bluetooth", AF_BLUETOOTH),
        std::pair("key", AF_KEY), std::pair("can", AF_CAN),
        std::pair("xdp", AF_XDP), std::pair("tipc", AF_TIPC)}) {
    if (name == known) {
      return number;
    }
  }
  return atoi(std::string(name).c_str());
}

}  // namespace

void TryRemount(JsonWriter& json, const char* path) {
  const unsigned long flags = MountFlags(path);
  Begin(json, "try-remount");
  const auto without = [&](int flag) {
    return flags & ~static_cast<unsigned long>(flag);
  };
  RemountWithout(json, "remount without ro", path, without(MS_RDONLY));
  RemountWithout(json, "remount without nosuid", path, without(MS_NOSUID));
  RemountWithout(json, "remount without nodev", path, without(MS_NODEV));
  RemountWithout(json, "remount without noexec", path, without(MS_NOEXEC));
  RemountWithout(json, "remount without flags", path, 0);
  Attempt(json, "remount superblock rw",
          mount(nullptr, path, nullptr, MS_REMOUNT, nullptr));
  ClearAttribute(json, "mount_setattr clear ro", path, MOUNT_ATTR_RDONLY, 0);
  ClearAttribute(json, "mount_setattr clear nosuid", path, MOUNT_ATTR_NOSUID,
                 0);
  ClearAttribute(json, "mount_setattr clear nodev", path, MOUNT_ATTR_NODEV, 0);
  ClearAttribute(json, "mount_setattr clear noexec", path, MOUNT_ATTR_NOEXEC,
                 0);
  ClearAttribute(json, "mount_setattr clear ro recursively", path,
                 MOUNT_ATTR_RDONLY, AT_RECURSIVE);
  ClearOnCopy(json, path);
  const unsigned long after = MountFlags(path);
  Attempt(json, "umount", umount2(path, 0));
  Attempt(json, "umount detach", umount2(path, MNT_DETACH));
  json.EndArray();
  FlagNames(json, "before", flags);
  FlagNames(json, "after", after);
  json.EndObject();
}

void TryWrite(JsonWriter& json, const char* path, const char* text) {
  Begin(json, "write");
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  Attempt(json, "open", fd);
  if (fd >= 0) {
    Attempt(json, "write", write(fd, text, strlen(text)));
    close(fd);
  }
  End(json);
}

void TryRead(JsonWriter& json, const char* path) {
  Begin(json, "read");
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  Attempt(json, "open", fd);
  std::string text(65536, '\0');
  ssize_t length = -1;
  if (fd >= 0) {
    length = read(fd, text.data(), text.size());
    Attempt(json, "read", length);
    close(fd);
  }
  json.EndArray();
  if (length >= 0) {
    text.resize(static_cast<size_t>(length));
    while (!text.empty() && text.back() == '\n') {
      text.pop_back();
    }
    json.Key("text").String(text);
  }
  json.EndObject();
}

void TryOpen(JsonWriter& json, const char* path, const char* how) {
  Begin(json, "open");
  const int flags = strcmp(how, "rw") == 0  ? O_RDWR
                    : strcmp(how, "w") == 0 ? O_WRONLY
                                            : O_RDONLY;
  const int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
  Attempt(json, "open", fd);
  if (fd >= 0) {
    close(fd);
  }
  End(json);
}

void TryExecute(JsonWriter& json, const char* path) {
  Begin(json, "exec");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    End(json);
    return;
  }
  const pid_t pid = fork();
  if (pid == 0) {
    const char* const argv[] = {path, "exit", "0", nullptr};
    execv(path, const_cast<char**>(argv));
    const int error = errno;
    _exit(write(ends[1], &error, sizeof(error)) == sizeof(error) ? 1 : 2);
  }
  close(ends[1]);
  int error = 0;
  // Nothing comes when the program has begun.
  [[maybe_unused]] const ssize_t got = read(ends[0], &error, sizeof(error));
  close(ends[0]);
  waitpid(pid, nullptr, 0);
  errno = error;
  Attempt(json, "execve", error == 0 ? 0 : -1);
  End(json);
}

void TryStat(JsonWriter& json, const char* path) {
  struct stat facts = {};
  Begin(json, "stat");
  const int result = lstat(path, &facts);
  Attempt(json, "lstat", result);
  json.EndArray();
  if (result == 0) {
    json.Key("mode").Unsigned(facts.st_mode & 07777);
    json.Key("type").Unsigned(facts.st_mode & S_IFMT);
    json.Key("uid").Unsigned(facts.st_uid);
    json.Key("gid").Unsigned(facts.st_gid);
    json.Key("size").Number(facts.st_size);
    json.Key("links").Unsigned(facts.st_nlink);
    json.Key("inode").Unsigned(facts.st_ino);
    json.Key("device").Unsigned(facts.st_dev);
    json.Key("rdev_major").Unsigned(major(facts.st_rdev));
    json.Key("rdev_minor").Unsigned(minor(facts.st_rdev));
  }
  json.EndObject();
}

void TryKill(JsonWriter& json, const char* pid, const char* signal) {
  Begin(json, "kill");
  Attempt(json, "kill", kill(atoi(pid), atoi(signal)));
  End(json);
}

void TryMknod(JsonWriter& json, const char* path) {
  Begin(json, "mknod");
  // The numbers of null and of the first disk's family.
  TryDevice(json, path, "mknod character", "open character", S_IFCHR,
            makedev(1, 3));
  TryDevice(json, path, "mknod block", "open block", S_IFBLK, makedev(7, 0));
  TryDevice(json, path, "mknod fifo", "open fifo", S_IFIFO, 0);
  End(json);
}

void TryUnshareUser(JsonWriter& json) {
  Begin(json, "unshare-user");
  for (const auto& [flags, call] :
       {std::pair(CLONE_NEWUSER, "unshare user"),
        std::pair(CLONE_NEWUSER | CLONE_NEWNS, "unshare user and mount"),
        std::pair(CLONE_NEWNS, "unshare mount"),
        std::pair(CLONE_NEWNET, "unshare net")}) {
    const pid_t child = fork();
    if (child == 0) {
      _exit(unshare(flags) == 0 ? 0 : errno);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
      Attempt(json, "fork", -1);
      continue;
    }
    // A filter that kills shows as the signal, negative.
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    Attempt(json, call, errno == 0 ? 0 : -1);
  }
  End(json);
}

void TryKeyctl(JsonWriter& json) {
  Begin(json, "keyctl");
  Attempt(
      json, "keyctl get session keyring",
      syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
  Attempt(json, "keyctl join new session keyring",
          syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr));
  Attempt(json, "add_key",
          syscall(SYS_add_key, "user", "caisson-probe", "x", 1,
                  KEY_SPEC_PROCESS_KEYRING));
  Attempt(json, "request_key",
          syscall(SYS_request_key, "user", "caisson-probe", nullptr, 0));
  End(json);
}

void TrySocket(JsonWriter& json, const char* family) {
  Begin(json, "socket");
  for (const auto& [type, call] :
       {std::pair(SOCK_STREAM, "stream"), std::pair(SOCK_DGRAM, "datagram"),
        std::pair(SOCK_SEQPACKET, "seqpacket"), std::pair(SOCK_RAW, "raw")}) {
    const int fd = socket(SocketFamily(family), type | SOCK_CLOEXEC, 0);
    Attempt(json, call, fd);
    if (fd >= 0) {
      close(fd);
    }
  }
  End(json);
}

}  // namespace caisson::probe
