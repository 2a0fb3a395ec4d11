#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/selinux.h"

// Relabel() only sets attributes, which filesystems keep on machines without
// SELinux, too.
namespace caisson::kernel {
namespace {

namespace fs = std::filesystem;

constexpr char kLabel[] = "system_u:object_r:container_file_t:s0:c1,c2";

class RelabelTest : public ::testing::Test {
 protected:
  RelabelTest() {
    std::string name = "/var/tmp/caisson-relabelXXXXXX";
    outside_ = mkdtemp(name.data());
    root_ = outside_ + "/volume";
    fs::create_directories(root_ + "/deep/below");
    std::ofstream(root_ + "/deep/below/file") << "x";
    std::ofstream(outside_ + "/foreign") << "x";
    fs::create_symlink(outside_ + "/foreign", root_ + "/link");
    mkfifo((root_ + "/fifo").c_str(), 0600);
  }

  ~RelabelTest() override {
    umount2((root_ + "/deep").c_str(), MNT_DETACH);
    fs::remove_all(outside_);
  }

  absl::Status Run() {
    const UniqueFd fd(open(root_.c_str(), O_PATH | O_CLOEXEC));
    return Relabel(fd.get(), kLabel);
  }

  static std::string LabelOf(const std::string& path) {
    char text[256] = {};
    const ssize_t length =
        lgetxattr(path.c_str(), "security.selinux", text, sizeof(text) - 1);
    return length < 0 ? absl::StrCat("<", strerrorname_np(errno), ">") : text;
  }

  std::string outside_;
  std::string root_;
};

TEST_F(RelabelTest, AllBelowIsLabelledAndNoLinkIsFollowed) {
  const std::string before = LabelOf(outside_ + "/foreign");
  const absl::Status status = Run();
  ASSERT_TRUE(status.ok()) << status;
  for (const char* name :
       {"", "/deep", "/deep/below", "/deep/below/file", "/link", "/fifo"}) {
    EXPECT_EQ(LabelOf(root_ + name), kLabel) << name;
  }
  EXPECT_EQ(LabelOf(outside_ + "/foreign"), before);
}

TEST_F(RelabelTest, ARootThatHasTheLabelIsDone) {
  ASSERT_TRUE(Run().ok());
  std::ofstream(root_ + "/later") << "x";
  const std::string before = LabelOf(root_ + "/later");
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(LabelOf(root_ + "/later"), before);
}

TEST_F(RelabelTest, WhatIsMountedBelowIsLeftAlone) {
  ASSERT_EQ(mount("x", (root_ + "/deep").c_str(), "tmpfs", 0, nullptr), 0);
  std::ofstream(root_ + "/deep/file") << "x";
  const std::string before = LabelOf(root_ + "/deep/file");
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(LabelOf(root_ + "/deep/file"), before);
  EXPECT_EQ(LabelOf(root_), kLabel);
}

TEST_F(RelabelTest, AFileAloneIsLabelled) {
  const std::string path = root_ + "/deep/below/file";
  const UniqueFd fd(open(path.c_str(), O_PATH | O_CLOEXEC));
  ASSERT_TRUE(Relabel(fd.get(), kLabel).ok());
  EXPECT_EQ(LabelOf(path), kLabel);
}

}  // namespace
}  // namespace caisson::kernel
