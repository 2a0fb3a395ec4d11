#include "tests/cri/fields/audit.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/unique_fd.h"
#include "runtime/identity/capabilities.h"

namespace caisson::cri_test {
namespace {

using ::nlohmann::json;
namespace cri = ::runtime::v1;

std::string ProcPath(pid_t pid, const std::string& name) {
  return absl::StrCat("/proc/", pid, "/", name);
}

std::string ReadProc(pid_t pid, const std::string& name) {
  const std::ifstream file(ProcPath(pid, name));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string LinkOf(const std::string& path) {
  char text[4096];
  const ssize_t length = readlink(path.c_str(), text, sizeof(text));
  return std::string(text, length < 0 ? 0 : static_cast<size_t>(length));
}

// Number of each open fd, and what it is.
std::map<int, std::string> FilesOf(pid_t pid) {
  std::map<int, std::string> files;
  const std::string path = ProcPath(pid, "fd");
  DIR* const directory = opendir(path.c_str());
  if (directory == nullptr) {
    ADD_FAILURE() << "no files of process " << pid;
    return files;
  }
  while (const dirent* entry = readdir(directory)) {
    int number = 0;
    if (absl::SimpleAtoi(entry->d_name, &number)) {
      files[number] = LinkOf(absl::StrCat(path, "/", number));
    }
  }
  closedir(directory);
  return files;
}

// By what it is: its name may be exchanged for another meanwhile.
bool IsNull(pid_t pid, int number) {
  struct stat facts = {};
  const std::string path = ProcPath(pid, absl::StrCat("fd/", number));
  return stat(path.c_str(), &facts) == 0 && S_ISCHR(facts.st_mode) &&
         facts.st_rdev == makedev(1, 3);
}

void ExpectStandardFiles(pid_t pid, const std::map<int, std::string>& files) {
  for (const auto& [number, target] : files) {
    EXPECT_TRUE(IsNull(pid, number) || absl::StartsWith(target, "pipe:") ||
                absl::StartsWith(target, "/dev/pts/"))
        << "fd " << number << " is " << target;
  }
}

std::map<std::string, std::string> StatusOf(pid_t pid) {
  std::map<std::string, std::string> lines;
  const std::string text = ReadProc(pid, "status");
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(":\t", 1));
    if (parts.size() == 2) {
      lines[parts[0]] = std::string(absl::StripAsciiWhitespace(parts[1]));
    }
  }
  return lines;
}

// The host's id of one inside.
uint64_t OnHost(const json& map, uint64_t id) {
  for (const json& extent : map) {
    const uint64_t first = extent["containerId"];
    if (id >= first && id - first < extent["length"].get<uint64_t>()) {
      return extent["hostId"].get<uint64_t>() + (id - first);
    }
  }
  return map.empty() ? id : 65534;
}

void ExpectIds(const std::map<std::string, std::string>& status,
               const json& info) {
  const auto four = [](uint64_t id) {
    return absl::StrCat(id, "\t", id, "\t", id, "\t", id);
  };
  EXPECT_EQ(status.at("Uid"), four(OnHost(info["uidMap"], info["uid"])));
  EXPECT_EQ(status.at("Gid"), four(OnHost(info["gidMap"], info["gid"])));
  std::multiset<uint64_t> groups;
  std::multiset<uint64_t> wanted;
  for (absl::string_view text :
       absl::StrSplit(status.at("Groups"), ' ', absl::SkipEmpty())) {
    uint64_t group = 0;
    EXPECT_TRUE(absl::SimpleAtoi(text, &group));
    groups.insert(group);
  }
  for (const uint64_t group : info["groups"]) {
    wanted.insert(OnHost(info["gidMap"], group));
  }
  EXPECT_EQ(groups, wanted);
}

uint64_t SetOf(const std::map<std::string, std::string>& status,
               const std::string& name) {
  return strtoull(status.at(name).c_str(), nullptr, 16);
}

void ExpectCapabilities(const std::map<std::string, std::string>& status,
                        const json& info) {
  const std::pair<const char*, const char*> kSets[] = {
      {"CapBnd", "bounding"},
      {"CapPrm", "permitted"},
      {"CapEff", "effective"},
      {"CapInh", "inheritable"},
      {"CapAmb", "ambient"}};
  for (const auto& [line, name] : kSets) {
    EXPECT_EQ(identity::CapabilityNames(SetOf(status, line)),
              info["capabilities"][name].get<std::vector<std::string>>())
        << name;
  }
}

// Lines of a map as the kernel shows them to the host.
void ExpectMap(pid_t pid, const std::string& name, const json& map) {
  std::vector<std::string> lines;
  for (const json& extent : map) {
    lines.push_back(absl::StrCat(extent["containerId"].get<uint64_t>(), " ",
                                 extent["hostId"].get<uint64_t>(), " ",
                                 extent["length"].get<uint64_t>()));
  }
  if (map.empty()) {
    lines.emplace_back("0 0 4294967295");
  }
  std::vector<std::string> found;
  const std::string text = ReadProc(pid, name);
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::string words(line);
    absl::RemoveExtraAsciiWhitespace(&words);
    found.push_back(words);
  }
  EXPECT_EQ(found, lines) << name;
}

void ExpectRequest(const std::map<std::string, std::string>& status,
                   const json& info, const cri::ContainerConfig& container) {
  const cri::LinuxContainerSecurityContext& security =
      container.linux().security_context();
  if (security.has_run_as_user()) {
    EXPECT_EQ(info["uid"], security.run_as_user().value());
  }
  if (security.has_run_as_group()) {
    EXPECT_EQ(info["gid"], security.run_as_group().value());
  }
  const std::vector<int64_t> groups = info["groups"];
  for (const int64_t group : security.supplemental_groups()) {
    EXPECT_THAT(groups, testing::Contains(group));
  }
  EXPECT_EQ(status.at("NoNewPrivs"), security.no_new_privs() ? "1" : "0");
  EXPECT_EQ(status.at("Seccomp"), absl::StrCat(int{info["seccompMode"]}));
  if (security.has_seccomp()) {
    const bool none =
        security.privileged() ||
        security.seccomp().profile_type() == cri::SecurityProfile::Unconfined;
    EXPECT_EQ(status.at("Seccomp"), none ? "0" : "2");
  }
  for (const std::string& name : security.capabilities().drop_capabilities()) {
    const absl::StatusOr<int> number = identity::CapabilityFromName(name);
    if (number.ok() && !security.privileged()) {
      EXPECT_EQ(SetOf(status, "CapBnd") >> *number & 1, 0u) << name;
    }
  }
  for (const std::string& name : security.capabilities().add_capabilities()) {
    const absl::StatusOr<int> number = identity::CapabilityFromName(name);
    if (number.ok()) {
      EXPECT_EQ(SetOf(status, "CapBnd") >> *number & 1, 1u) << name;
    }
  }
}

void ExpectNamespaces(pid_t pid, const json& info,
                      const cri::PodSandboxConfig& pod) {
  const auto hosts = [pid](const char* name) {
    const std::string own = LinkOf(ProcPath(pid, absl::StrCat("ns/", name)));
    EXPECT_NE(own, "");
    return own == LinkOf(absl::StrCat("/proc/self/ns/", name));
  };
  const cri::NamespaceOption& options =
      pod.linux().security_context().namespace_options();
  EXPECT_EQ(hosts("user"), info["uidMap"].empty());
  EXPECT_EQ(hosts("net"), options.network() == cri::NODE);
  EXPECT_EQ(hosts("ipc"), options.ipc() == cri::NODE);
  EXPECT_FALSE(hosts("mnt"));
  EXPECT_FALSE(hosts("cgroup"));
}

// Options of what is mounted last at a path of the process.
std::string OptionsOf(pid_t pid, const std::string& path) {
  std::string options;
  const std::string text = ReadProc(pid, "mountinfo");
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 5 && fields[4] == path) {
      options = fields[5];
    }
  }
  return options;
}

void ExpectMounts(pid_t pid, const cri::ContainerConfig& container) {
  if (container.linux().security_context().readonly_rootfs()) {
    EXPECT_TRUE(absl::StartsWith(OptionsOf(pid, "/"), "ro,"))
        << OptionsOf(pid, "/");
  }
  for (const cri::Mount& mount : container.mounts()) {
    const std::string options = OptionsOf(pid, mount.container_path());
    // A path by way of a link is found elsewhere.
    if (mount.readonly() && !options.empty()) {
      EXPECT_TRUE(absl::StartsWith(options, "ro,"))
          << mount.container_path() << ": " << options;
    }
  }
}

bool IsStatic(const std::string& program) {
  std::ifstream file(program, std::ios::binary);
  Elf64_Ehdr header = {};
  file.read(reinterpret_cast<char*>(&header), sizeof(header));
  EXPECT_EQ(header.e_phentsize, sizeof(Elf64_Phdr));
  file.seekg(static_cast<std::streamoff>(header.e_phoff));
  for (int i = 0; i < header.e_phnum && file; ++i) {
    Elf64_Phdr segment = {};
    file.read(reinterpret_cast<char*>(&segment), sizeof(segment));
    if (segment.p_type == PT_INTERP) {
      return false;
    }
  }
  return static_cast<bool>(file);
}

void ExpectSealed(pid_t pid) {
  const std::string path = ProcPath(pid, "exe");
  EXPECT_EQ(LinkOf(path), "/memfd:caisson-keeper (deleted)");
  const UniqueFd program(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(fcntl(program.get(), F_GET_SEALS),
            F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  EXPECT_TRUE(IsStatic(path));
}

// Files of a process that may be dumped belong to its user, else to root.
uid_t OwnerOfFiles(pid_t pid) {
  struct stat facts = {};
  EXPECT_EQ(stat(ProcPath(pid, "status").c_str(), &facts), 0);
  return facts.st_uid;
}

}  // namespace

void AuditCreated(const json& info) {
  SCOPED_TRACE("audit of a created container");
  const pid_t pid = info["pid"];
  std::map<int, std::string> files = FilesOf(pid);
  EXPECT_TRUE(absl::StartsWith(files[3], "socket:")) << files[3];
  // O_CLOEXEC is shown in octal.
  EXPECT_THAT(ReadProc(pid, "fdinfo/3"),
              testing::ContainsRegex("flags:\t0*2[0-9]{6}\n"));
  files.erase(3);
  EXPECT_THAT(files, testing::SizeIs(3));
  ExpectStandardFiles(pid, files);
  EXPECT_EQ(OwnerOfFiles(pid), 0u) << "it can be traced";
  EXPECT_EQ(ReadProc(pid, "environ"), "");
  ExpectSealed(pid);
}

void AuditProcess(pid_t pid, const json& info, const cri::PodSandboxConfig& pod,
                  const cri::ContainerConfig& container) {
  SCOPED_TRACE("audit of a container's program");
  const std::map<int, std::string> files = FilesOf(pid);
  EXPECT_THAT(files, testing::SizeIs(3));
  ExpectStandardFiles(pid, files);
  const std::map<std::string, std::string> status = StatusOf(pid);
  ASSERT_TRUE(status.contains("Seccomp")) << "process " << pid << " is gone";
  ExpectIds(status, info);
  ExpectCapabilities(status, info);
  ExpectMap(pid, "uid_map", info["uidMap"]);
  ExpectMap(pid, "gid_map", info["gidMap"]);
  ExpectRequest(status, info, container);
  ExpectNamespaces(pid, info, pod);
  ExpectMounts(pid, container);
  EXPECT_EQ(OwnerOfFiles(pid), OnHost(info["uidMap"], info["uid"]))
      << "the oracle of tracing does not work";
}

}  // namespace caisson::cri_test
