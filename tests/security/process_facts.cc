#include "tests/security/process_facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/support/await.h"
#include "tests/support/machine.h"

namespace caisson::cri_test {
namespace {

bool IsPaused(int pid) {
  uint64_t blocked = 0;
  return absl::SimpleHexAtoi(StatusOf(pid, "SigBlk"), &blocked) &&
         (blocked >> (SIGUSR1 - 1) & 1) != 0;
}

}  // namespace

bool OpenFile::IsHarmless() const {
  if (S_ISFIFO(type) || S_ISSOCK(type)) {
    return true;
  }
  // 136 to 143: the controlled sides of pseudo-terminals.
  return S_ISCHR(type) && (device == makedev(1, 3) ||
                           (major(device) >= 136 && major(device) <= 143));
}

bool OpenFile::IsRootOf(int pid) const {
  return absl::StrCat(filesystem, ":", inode) == RootOf(pid);
}

std::ostream& operator<<(std::ostream& out, const OpenFile& file) {
  return out << "fd " << file.number << ": " << file.target;
}

std::vector<OpenFile> OpenFilesOf(int pid) {
  std::vector<OpenFile> files;
  const std::string base = absl::StrCat("/proc/", pid, "/fd/");
  DIR* const directory = opendir(base.c_str());
  EXPECT_NE(directory, nullptr) << base;
  while (const dirent* const entry =
             directory == nullptr ? nullptr : readdir(directory)) {
    OpenFile file;
    struct stat facts = {};
    char target[PATH_MAX];
    const std::string path = base + entry->d_name;
    const ssize_t length = readlink(path.c_str(), target, sizeof(target));
    if (!absl::SimpleAtoi(entry->d_name, &file.number) || length < 0 ||
        stat(path.c_str(), &facts) != 0) {
      continue;
    }
    file.target.assign(target, static_cast<size_t>(length));
    file.type = facts.st_mode & S_IFMT;
    file.device = facts.st_rdev;
    file.filesystem = facts.st_dev;
    file.inode = facts.st_ino;
    files.push_back(file);
  }
  if (directory != nullptr) {
    closedir(directory);
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return files;
}

std::string RootOf(int pid) {
  struct stat facts = {};
  EXPECT_EQ(stat(absl::StrCat("/proc/", pid, "/root").c_str(), &facts), 0);
  return absl::StrCat(facts.st_dev, ":", facts.st_ino);
}

int PidsNamed(const std::string& name, const std::vector<int>& pids) {
  for (const int pid : pids) {
    if (StatusOf(pid, "Name") == name) {
      return pid;
    }
  }
  return 0;
}

std::string StatusOf(int pid, const std::string& name) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, name + ":\t")) {
      return std::string(rest);
    }
  }
  return "";
}

int AwaitPaused(const std::function<std::vector<int>()>& list) {
  int paused = 0;
  EXPECT_TRUE(::caisson::testing::Await([&] {
    for (const int pid : list()) {
      paused = IsPaused(pid) ? pid : paused;
    }
    return paused > 0;
  })) << "nothing waits at a pause point";
  return paused;
}

std::vector<std::string> StepsOf(const std::string& table) {
  const std::string all = ::caisson::testing::ShellOutput(
      CAISSON_BIN_DIR "/caisson-keeper --list-steps");
  std::vector<std::string> steps;
  for (absl::string_view line : absl::StrSplit(all, '\n')) {
    if (absl::ConsumePrefix(&line, table + " ")) {
      steps.emplace_back(line);
    }
  }
  EXPECT_GE(steps.size(), 10u);
  return steps;
}

HostSetting::HostSetting(std::string path, const std::string& value)
    : path_(std::move(path)), lock_(open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  // Else one would put back what another has set.
  EXPECT_EQ(flock(lock_.get(), LOCK_EX), 0) << path_;
  before_ = ::caisson::testing::ReadFile(path_);
  std::ofstream(path_) << value;
  EXPECT_TRUE(absl::StartsWith(::caisson::testing::ReadFile(path_), value));
}

HostSetting::~HostSetting() {
  std::ofstream(path_) << before_;
}

}  // namespace caisson::cri_test
