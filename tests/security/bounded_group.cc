#include "tests/security/bounded_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "runtime/cgroup/systemd.h"
#include "tests/support/await.h"
#include "tests/support/machine.h"

namespace caisson::cri_test {
namespace {

using ::caisson::testing::Await;
using ::caisson::testing::ReadFile;
using ::caisson::testing::Shell;
using ::testing::IsEmpty;

// Those in a directory of a hierarchy and in all below it.
std::vector<int> ProcessesIn(const std::string& directory) {
  std::vector<int> pids;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(directory, error),
       end;
       !error && entry != end; entry.increment(error)) {
    if (entry->path().filename() == "cgroup.procs") {
      std::ifstream file(entry->path());
      for (int pid = 0; file >> pid;) {
        pids.push_back(pid);
      }
    }
  }
  return pids;
}

}  // namespace

BoundedGroup::BoundedGroup(const cgroup::Layout& layout,
                           const std::string& driver, const std::string& name)
    : layout_(layout), path_(name) {
  if (driver == "systemd") {
    unit_ = name + ".slice";
    const absl::StatusOr<std::string> path = cgroup::ExpandSlice(unit_);
    EXPECT_TRUE(path.ok()) << path.status();
    path_ = path.value_or("");
  }
}

std::string BoundedGroup::parent() const {
  return unit_.empty() ? "/" + path_ : unit_;
}

std::string BoundedGroup::PidsMax() const {
  const auto pids = layout_.v1.find("pids");
  return absl::StrCat(pids == layout_.v1.end() ? layout_.unified : pids->second,
                      "/", path_, "/pids.max");
}

void BoundedGroup::Allow(const std::string& most) {
  const std::string file = PidsMax();
  if (unit_.empty()) {
    const std::string directory =
        std::filesystem::path(file).parent_path().string();
    EXPECT_TRUE(mkdir(directory.c_str(), 0755) == 0 || errno == EEXIST);
    std::ofstream(file) << most;
  } else {
    EXPECT_EQ(
        Shell(absl::StrCat("systemctl start ", unit_,
                           " && systemctl set-property --runtime ", unit_,
                           " TasksMax=", most == "max" ? "infinity" : most)),
        0);
    // systemd writes it after it has answered.
    Await([&] { return ReadFile(file) == most + "\n"; });
  }
  EXPECT_EQ(ReadFile(file), most + "\n");
}

std::vector<int> BoundedGroup::Processes() const {
  return ProcessesBelow(layout_, path_);
}

void BoundedGroup::KillAll() {
  Await([&] {
    bool left = false;
    for (const std::string& directory : DirectoriesOf(layout_, path_)) {
      for (const int pid : ProcessesIn(directory)) {
        // 0 is a process that isn't seen from here.
        left = left || (pid > 0 && kill(pid, SIGKILL) == 0);
      }
    }
    return !left;
  });
  EXPECT_THAT(Processes(), IsEmpty());
}

void BoundedGroup::Remove() {
  if (!unit_.empty()) {
    EXPECT_EQ(Shell("systemctl stop " + unit_), 0);
    EXPECT_EQ(Shell("systemctl revert " + unit_), 0);
  }
  for (const std::string& directory : DirectoriesOf(layout_, path_)) {
    EXPECT_TRUE(rmdir(directory.c_str()) == 0 || errno == ENOENT) << directory;
  }
}

std::vector<std::string> DirectoriesOf(const cgroup::Layout& layout,
                                       const std::string& path) {
  std::vector<std::string> all = {absl::StrCat(layout.unified, "/", path)};
  for (const auto& [controller, mount_point] : layout.v1) {
    all.push_back(absl::StrCat(mount_point, "/", path));
  }
  return all;
}

std::vector<int> ProcessesBelow(const cgroup::Layout& layout,
                                const std::string& path) {
  const auto group = cgroup::Cgroup::Open(layout, path);
  if (!group.ok()) {
    return {};
  }
  const auto pids = group->Processes();
  EXPECT_TRUE(pids.ok()) << pids.status();
  return pids.ok() ? std::vector<int>(pids->begin(), pids->end())
                   : std::vector<int>();
}

}  // namespace caisson::cri_test
