#include "tests/probe/report.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/probe/proc_file.h"

extern char** environ;

namespace caisson::probe {
namespace {

constexpr const char* kNamespaces[] = {"cgroup", "ipc",  "mnt",  "net",
                                       "pid",    "time", "user", "uts"};

// In the order of RLIMIT_*, see getrlimit(2).
constexpr const char* kLimits[] = {"cpu",      "fsize", "data",   "stack",
                                   "core",     "rss",   "nproc",  "nofile",
                                   "memlock",  "as",    "locks",  "sigpending",
                                   "msgqueue", "nice",  "rtprio", "rttime"};

void Ids(JsonWriter& json) {
  uid_t uids[3] = {};
  gid_t gids[3] = {};
  getresuid(&uids[0], &uids[1], &uids[2]);
  getresgid(&gids[0], &gids[1], &gids[2]);
  json.Key("uid").Unsigned(uids[0]);
  json.Key("euid").Unsigned(uids[1]);
  json.Key("suid").Unsigned(uids[2]);
  json.Key("gid").Unsigned(gids[0]);
  json.Key("egid").Unsigned(gids[1]);
  json.Key("sgid").Unsigned(gids[2]);
  std::vector<gid_t> groups(65536);
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(count < 0 ? 0 : static_cast<size_t>(count));
  json.Key("groups").BeginArray();
  for (const gid_t group : groups) {
    json.Unsigned(group);
  }
  json.EndArray();
}

void IdMap(JsonWriter& json, const char* name) {
  json.Key(name);
  const std::optional<std::string> map =
      ReadWhole(std::string("/proc/self/") + name);
  if (!map.has_value()) {
    json.Null();
    return;
  }
  json.BeginArray();
  for (const std::string_view line : Split(*map, '\n')) {
    json.BeginArray();
    for (const std::string_view number : Split(line, ' ')) {
      json.Unsigned(strtoull(std::string(number).c_str(), nullptr, 10));
    }
    json.EndArray();
  }
  json.EndArray();
}

void StatusText(JsonWriter& json, const std::optional<std::string>& status,
                const char* key, const char* name) {
  json.Key(key);
  const auto value = status.has_value() ? StatusValue(*status, name)
                                        : std::optional<std::string_view>();
  value.has_value() ? json.String(*value) : json.Null();
}

void StatusNumber(JsonWriter& json, const std::optional<std::string>& status,
                  const char* key, const char* name) {
  json.Key(key);
  const auto value = status.has_value() ? StatusValue(*status, name)
                                        : std::optional<std::string_view>();
  value.has_value()
      ? json.Number(strtoll(std::string(*value).c_str(), nullptr, 10))
      : json.Null();
}

void Privileges(JsonWriter& json) {
  const std::optional<std::string> status = ReadWhole("/proc/self/status");
  json.Key("capabilities").BeginObject();
  StatusText(json, status, "inheritable", "CapInh");
  StatusText(json, status, "permitted", "CapPrm");
  StatusText(json, status, "effective", "CapEff");
  StatusText(json, status, "bounding", "CapBnd");
  StatusText(json, status, "ambient", "CapAmb");
  json.EndObject();
  StatusNumber(json, status, "no_new_privileges", "NoNewPrivs");
  StatusNumber(json, status, "seccomp", "Seccomp");
  StatusNumber(json, status, "seccomp_filters", "Seccomp_filters");
  StatusNumber(json, status, "tracer_pid", "TracerPid");
  StatusText(json, status, "signals_ignored", "SigIgn");
  StatusText(json, status, "signals_blocked", "SigBlk");
  json.Key("dumpable").Number(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  json.Key("securebits").Number(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

std::string LinkTarget(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), target, sizeof(target));
  return length < 0 ? std::string()
                    : std::string(target, static_cast<size_t>(length));
}

void OpenFiles(JsonWriter& json) {
  json.Key("fds");
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) {
    json.Null();
    return;
  }
  std::vector<int> fds;
  while (const dirent* const entry = readdir(directory)) {
    const int fd = atoi(entry->d_name);
    // The one that lists is no finding.
    if (entry->d_name[0] != '.' && fd != dirfd(directory)) {
      fds.push_back(fd);
    }
  }
  std::sort(fds.begin(), fds.end());
  json.BeginArray();
  for (const int fd : fds) {
    json.BeginObject().Key("fd").Number(fd).Key("target").String(
        LinkTarget("/proc/self/fd/" + std::to_string(fd)));
    json.EndObject();
  }
  json.EndArray();
  closedir(directory);
}

void Environment(JsonWriter& json) {
  json.Key("environment").BeginArray();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    json.String(*entry);
  }
  json.EndArray();
}

// By system call: libc hides that the directory is outside the root, which the
// kernel says by "(unreachable)" (CVE-2024-21626).
void WorkingDirectory(JsonWriter& json) {
  char path[PATH_MAX];
  const long length = syscall(SYS_getcwd, path, sizeof(path));
  json.Key("cwd");
  length > 0 ? json.String(path) : json.Null();
}

void Namespaces(JsonWriter& json) {
  json.Key("namespaces").BeginObject();
  for (const char* name : kNamespaces) {
    struct stat facts = {};
    json.Key(name);
    stat((std::string("/proc/self/ns/") + name).c_str(), &facts) == 0
        ? json.Unsigned(facts.st_ino)
        : json.Null();
  }
  json.EndObject();
}

void Limit(JsonWriter& json, rlim_t value) {
  value == RLIM_INFINITY ? json.String("unlimited") : json.Unsigned(value);
}

void Limits(JsonWriter& json) {
  json.Key("rlimits").BeginObject();
  for (int i = 0; i < static_cast<int>(std::size(kLimits)); ++i) {
    rlimit limit = {};
    if (getrlimit(static_cast<__rlimit_resource>(i), &limit) != 0) {
      continue;
    }
    json.Key(kLimits[i]).BeginObject();
    json.Key("soft");
    Limit(json, limit.rlim_cur);
    json.Key("hard");
    Limit(json, limit.rlim_max);
    json.EndObject();
  }
  json.EndObject();
}

void Text(JsonWriter& json, const char* key, const char* path) {
  std::optional<std::string> text = ReadWhole(path);
  json.Key(key);
  if (!text.has_value()) {
    json.Null();
    return;
  }
  while (!text->empty() && text->back() == '\n') {
    text->pop_back();
  }
  json.String(*text);
}

void Machine(JsonWriter& json) {
  utsname names = {};
  uname(&names);
  json.Key("hostname").String(names.nodename);
  json.Key("domainname").String(names.domainname);
  Text(json, "oom_score_adj", "/proc/self/oom_score_adj");
  Text(json, "cgroup", "/proc/self/cgroup");
  Text(json, "label", "/proc/self/attr/current");
}

}  // namespace

void ReportErrno(JsonWriter& json, int error) {
  const char* const name = error == 0 ? "OK" : strerrorname_np(error);
  json.Key("errno").String(name == nullptr ? "unknown" : name);
  json.Key("number").Number(error);
}

void Report(JsonWriter& json) {
  json.BeginObject();
  json.Key("pid").Number(getpid());
  json.Key("ppid").Number(getppid());
  json.Key("session").Number(getsid(0));
  Ids(json);
  IdMap(json, "uid_map");
  IdMap(json, "gid_map");
  Privileges(json);
  OpenFiles(json);
  Environment(json);
  WorkingDirectory(json);
  json.Key("mounts");
  ReportMounts(json);
  Namespaces(json);
  Machine(json);
  Limits(json);
  json.EndObject();
}

}  // namespace caisson::probe
