#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/kernel/procfs.h"

namespace caisson::kernel {
namespace {

namespace fs = std::filesystem;

constexpr char kScore[] = "self/oom_score_adj";

// A root whose /proc each test makes, in a mount namespace of its own: what is
// mounted is gone with it, and no path can lead an unmount to the host.
class ProcfsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    std::string name = "/var/tmp/caisson-procfsXXXXXX";
    path_ = mkdtemp(name.data());
    proc_ = path_ + "/proc";
    fs::create_directory(proc_);
    root_.reset(open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  void TearDown() override {
    // Not there in most tests, and a link in one.
    umount2(proc_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    fs::remove_all(path_);
  }

  void Bind(const std::string& source, const std::string& target) {
    ASSERT_EQ(mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr),
              0)
        << target;
  }

  absl::StatusOr<UniqueFd> Open(absl::string_view path = kScore) {
    return OpenProcFileOf(root_.get(), path, O_RDONLY);
  }

  std::string path_;
  std::string proc_;
  UniqueFd root_;
};

std::string TextOf(int fd) {
  char text[64] = {};
  return read(fd, text, sizeof(text) - 1) < 0 ? "" : text;
}

TEST_F(ProcfsTest, FilesOfAProcfsAreOpened) {
  const absl::StatusOr<UniqueFd> own = OpenProcFile(kScore, O_RDONLY);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_NE(TextOf(own->get()), "");
  Bind("/proc", proc_);
  const absl::StatusOr<UniqueFd> of_root = Open();
  ASSERT_TRUE(of_root.ok()) << of_root.status();
  EXPECT_NE(TextOf(of_root->get()), "");
}

TEST_F(ProcfsTest, ADirectoryIsNoProcfs) {
  fs::create_directory(proc_ + "/self");
  std::ofstream(proc_ + "/self/oom_score_adj") << "1";
  EXPECT_EQ(Open().status(),
            absl::FailedPreconditionError("check /proc: not a procfs"));
}

TEST_F(ProcfsTest, NorIsADirectoryOfAProcfs) {
  Bind("/proc/sys", proc_);
  EXPECT_EQ(Open("kernel/ostype").status(),
            absl::FailedPreconditionError("check /proc: not a procfs"));
}

TEST_F(ProcfsTest, ALinkToAProcfsOutsideIsNone) {
  fs::remove(proc_);
  fs::create_symlink("/proc", proc_);
  EXPECT_FALSE(Open().ok());
}

// What stands over a file of a procfs is another file (CVE-2025-52881).
TEST_F(ProcfsTest, NoMountLeadsElsewhere) {
  ASSERT_EQ(mount("proc", proc_.c_str(), "proc", 0, nullptr), 0);
  ASSERT_TRUE(Open("sys/kernel/hostname").ok());
  Bind("/proc/sys/kernel/domainname", proc_ + "/sys/kernel/hostname");
  EXPECT_EQ(Open("sys/kernel/hostname").status().code(),
            absl::StatusCode::kUnimplemented);  // EXDEV
  EXPECT_FALSE(Open("self/root").ok());
  EXPECT_FALSE(Open("self/cwd/x").ok());
  EXPECT_FALSE(Open("../file").ok());
}

}  // namespace
}  // namespace caisson::kernel
