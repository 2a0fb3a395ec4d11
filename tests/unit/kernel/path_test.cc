#include "runtime/kernel/path.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "runtime/base/unique_fd.h"

namespace caisson::kernel {
namespace {

namespace fs = std::filesystem;

// Makes what is missing in a root of its own.
class MissingPathTest : public testing::Test {
 protected:
  MissingPathTest() {
    char name[] = "/tmp/caisson-path.XXXXXX";
    directory_ = mkdtemp(name);
    root_.reset(open(directory_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    fs::create_directories(directory_ + "/etc");
  }

  ~MissingPathTest() override {
    std::error_code error;
    fs::remove_all(directory_, error);
  }

  void Link(const std::string& to, const std::string& name) {
    fs::create_symlink(to, directory_ + name);
  }

  // Whether the file was made at `place`, and is what was returned.
  void ExpectFile(const std::string& path, const std::string& place) {
    const absl::StatusOr<UniqueFd> file =
        MakeFileInRoot(root_.get(), path, owner_);
    ASSERT_TRUE(file.ok()) << path << ": " << file.status();
    struct stat made = {};
    struct stat there = {};
    ASSERT_EQ(fstat(file->get(), &made), 0);
    ASSERT_EQ(lstat((directory_ + place).c_str(), &there), 0) << place;
    EXPECT_EQ(made.st_ino, there.st_ino) << path;
    EXPECT_TRUE(S_ISREG(there.st_mode));
  }

  std::string directory_;
  UniqueFd root_;
  Owner owner_{getuid(), getgid()};
};

TEST_F(MissingPathTest, LinksThatLeadToNothingAreFollowed) {
  Link("/usr/share/zone/UTC", "/etc/localtime");
  ExpectFile("/etc/localtime", "/usr/share/zone/UTC");
  Link("../run/systemd/resolv.conf", "/etc/resolv.conf");
  ExpectFile("/etc/resolv.conf", "/run/systemd/resolv.conf");
  Link("chained", "/etc/chain");
  Link("/of/them", "/etc/chained");
  ExpectFile("/etc/chain", "/of/them");
  Link("run-of-it", "/var");
  ExpectFile("/var/run/deep/file", "/run-of-it/run/deep/file");
  Link("/var/more", "/through");
  ExpectFile("/through/file", "/run-of-it/more/file");
}

TEST_F(MissingPathTest, LinksStayInTheRoot) {
  // Of the host it is a name beside the root.
  const std::string away = directory_ + "-away";
  Link("../../../../../.." + away, "/etc/away");
  ExpectFile("/etc/away", away);
  EXPECT_FALSE(fs::exists(away));
}

TEST_F(MissingPathTest, LinksWithoutEndAreRefused) {
  Link("loop", "/etc/loop");
  EXPECT_FALSE(MakeFileInRoot(root_.get(), "/etc/loop", owner_).ok());
  EXPECT_FALSE(MakeDirectoryInRoot(root_.get(), "/etc/loop/x", owner_).ok());
  // Each step leads to a longer path that is missing.
  Link("/more/more", "/more");
  EXPECT_FALSE(MakeDirectoryInRoot(root_.get(), "/more/x", owner_).ok());
}

// A number that is no open file while it is looked up may be one when its
// directory is.
TEST_F(MissingPathTest, LinksOfProcfsAreNotFollowed) {
  const UniqueFd proc(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd next(dup(proc.get()));
  const std::string free = std::to_string(next.get() + 1);
  EXPECT_FALSE(
      MakeDirectoryInRoot(proc.get(), "/self/fd/" + free, owner_).ok());
  EXPECT_FALSE(MakeFileInRoot(proc.get(), "/self/fd/" + free, owner_).ok());
}

TEST_F(MissingPathTest, NothingIsMadeAboveWhatIsMissing) {
  Link("missing/../../x", "/etc/odd");
  EXPECT_EQ(MakeFileInRoot(root_.get(), "/etc/odd", owner_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace caisson::kernel
