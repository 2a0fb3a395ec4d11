#include "tests/support/test_node.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/directory.h"
#include "tests/support/await.h"

namespace caisson::testing {
namespace {

namespace fs = std::filesystem;

constexpr char kPods[] = "pods";
constexpr char kKeepers[] = "keepers";

std::vector<DirectoryEntry> EntriesOf(const std::string& directory) {
  return ListDirectory(directory).value_or(std::vector<DirectoryEntry>());
}

void AddNames(const std::string& directory, const std::string& what,
              std::vector<std::string>& found) {
  for (const DirectoryEntry& entry : EntriesOf(directory)) {
    found.push_back(absl::StrCat(what, " ", entry.name));
  }
}

// Cgroups below that one, those that are deeper first.
void AddGroups(const std::string& directory, std::vector<std::string>& groups) {
  for (const DirectoryEntry& entry : EntriesOf(directory)) {
    if (entry.type == DT_DIR) {
      const std::string path = absl::StrCat(directory, "/", entry.name);
      AddGroups(path, groups);
      groups.push_back(path);
    }
  }
}

std::vector<std::string> GroupsBelow(const std::string& directory) {
  std::vector<std::string> groups;
  AddGroups(directory, groups);
  return groups;
}

std::vector<std::string> MountsBelow(const std::string& directory) {
  std::vector<std::string> mounts;
  for (absl::string_view line :
       absl::StrSplit(ReadFile("/proc/self/mountinfo"), '\n')) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 4 && absl::StartsWith(fields[4], directory + "/")) {
      mounts.push_back(fields[4]);
    }
  }
  return mounts;
}

}  // namespace

bool TestNode::PrepareProcess() {
  static const bool done =
      IsRoot() && unshare(CLONE_NEWNS) == 0 &&
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
      prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
  return done;
}

TestNode::TestNode() {
  const absl::StatusOr<cgroup::Layout> machine =
      cgroup::DetectLayout(path() + "/cgroup2");
  if (machine.ok()) {
    // As on a machine of cgroup v2 alone, of which this is the root.
    layout_.unified =
        absl::StrCat(machine->unified, "/caisson-test-",
                     fs::path(path()).extension().string().substr(1));
    mkdir(layout_.unified.c_str(), 0755);
  }
  const config::Config config = this->config();
  const ops::Paths paths(config);
  for (const std::string& each :
       {config.root, paths.ContainersDirectory(), paths.PodsDirectory(),
        paths.KeepersDirectory(), paths.PinsDirectory(), path() + "/layer"}) {
    fs::create_directories(each);
  }
}

TestNode::~TestNode() {
  EndProcesses();
  Unmount();
  std::vector<std::string> groups = GroupsBelow(layout_.unified);
  groups.push_back(layout_.unified);
  for (const std::string& group : groups) {
    Await([&] { return rmdir(group.c_str()) == 0 || errno != EBUSY; });
  }
}

config::Config TestNode::config() const {
  config::Config config;
  config.root = path() + "/root";
  config.state = path() + "/state";
  config.kubelet_dir = path() + "/kubelet";
  config.cdi.spec_dirs = {path() + "/cdi"};
  config.cgroup.parent = kPods;
  config.cgroup.keepers = kKeepers;
  config.cgroup.driver = "cgroupfs";
  return config;
}

std::vector<int> TestNode::Processes() const {
  std::vector<int> pids;
  for (const std::string& group : GroupsBelow(layout_.unified)) {
    std::ifstream procs(group + "/cgroup.procs");
    for (int pid = 0; procs >> pid;) {
      pids.push_back(pid);
    }
  }
  return pids;
}

void TestNode::EndProcesses() {
  std::ofstream(layout_.unified + "/cgroup.kill") << "1";
  Await([this] {
    // Those of daemons that died are ours to reap.
    for (const int pid : Processes()) {
      waitpid(pid, nullptr, WNOHANG);
    }
    return Processes().empty();
  });
}

void TestNode::Unmount() {
  for (const std::string& mount : MountsBelow(path())) {
    umount2(mount.c_str(), MNT_DETACH);
  }
}

void TestNode::Reboot() {
  EndProcesses();
  Unmount();
  boot_id_ += "+";
  std::error_code error;
  const ops::Paths paths(config());
  for (const std::string& each :
       {paths.PodsDirectory(), paths.KeepersDirectory(),
        paths.PinsDirectory()}) {
    fs::remove_all(each, error);
    fs::create_directories(each, error);
  }
  for (const std::string& group : GroupsBelow(layout_.unified + "/" + kPods)) {
    rmdir(group.c_str());
  }
}

std::vector<std::string> TestNode::Leftovers() const {
  std::vector<std::string> found;
  const ops::Paths paths(config());
  AddNames(paths.PodsDirectory(), "pod directory", found);
  AddNames(paths.ContainersDirectory(), "container directory", found);
  AddNames(paths.KeepersDirectory(), "socket", found);
  AddNames(paths.PinsDirectory(), "pin", found);
  AddNames(path() + "/cni/addresses", "address", found);
  AddNames(path() + "/cni/results", "plugin's result", found);
  for (const std::string& mount : MountsBelow(path())) {
    found.push_back("mount " + mount);
  }
  for (const std::string& group : GroupsBelow(layout_.unified + "/" + kPods)) {
    found.push_back("cgroup " + group);
  }
  for (const int pid : Processes()) {
    found.push_back(absl::StrCat("process ", pid));
  }
  return found;
}

}  // namespace caisson::testing
