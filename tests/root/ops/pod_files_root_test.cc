#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "runtime/base/unique_fd.h"
#include "shim/ops/pod_files.h"
#include "tests/support/machine.h"

namespace caisson::ops {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::ReadFile;
using ::caisson::testing::TemporaryDirectory;

class PodFilesTest : public ::testing::Test {
 protected:
  void SetUp() override { CAISSON_REQUIRE_ROOT(); }

  std::string Path(const char* name) const {
    return PodFilesDirectory(pod_) + "/" + name;
  }

  // Bytes that could be written to the file until the kernel refused more.
  size_t Fill(const char* name) {
    const UniqueFd file(
        open(Path(name).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    const std::string page(4096, 'x');
    size_t total = 0;
    for (;;) {
      const ssize_t wrote = write(file.get(), page.data(), page.size());
      if (wrote <= 0 || total > (size_t{8} << 20)) {
        EXPECT_EQ(errno, ENOSPC);
        return total;
      }
      total += static_cast<size_t>(wrote);
    }
  }

  const TemporaryDirectory directory_;
  const std::string pod_ = directory_.path() + "/pod";
};

TEST_F(PodFilesTest, AreThereAndBoundedAndGo) {
  ASSERT_EQ(mkdir(pod_.c_str(), 0700), 0);
  const PodFiles files = {"nameserver 192.0.2.1\n", "web\n",
                          std::string(20000, '#')};
  const absl::Status made = MakePodFiles(pod_, files);
  ASSERT_TRUE(made.ok()) << made;
  EXPECT_EQ(ReadFile(Path("resolv.conf")), files.resolv_conf);
  EXPECT_EQ(ReadFile(Path("hostname")), files.hostname);
  EXPECT_EQ(ReadFile(Path("hosts")), files.hosts);
  struct stat facts = {};
  ASSERT_EQ(stat(Path("hosts").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode, S_IFREG | 0644u);
  // All that can be added to any of them.
  EXPECT_LE(Fill("hosts"), size_t{80} << 10);
  EXPECT_LE(Fill("resolv.conf"), size_t{8} << 10);
  // Nor are there files without end.
  int more = 0;
  while (mknod(Path(std::to_string(more).c_str()).c_str(), S_IFREG, 0) == 0) {
    ASSERT_LT(++more, 100);
  }
  const UniqueFd open_still(open(Path("hosts").c_str(), O_RDONLY | O_CLOEXEC));
  const absl::Status removed = RemovePodDirectory(pod_);
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(fs::exists(pod_));
}

// What a crash leaves at any point, and a removal that comes twice.
TEST_F(PodFilesTest, RemovalTakesWhatIsThere) {
  EXPECT_TRUE(RemovePodDirectory(pod_).ok());
  ASSERT_EQ(mkdir(pod_.c_str(), 0700), 0);
  EXPECT_TRUE(RemovePodDirectory(pod_).ok());
  fs::create_directories(PodFilesDirectory(pod_));
  EXPECT_TRUE(RemovePodDirectory(pod_).ok());
  EXPECT_FALSE(fs::exists(pod_));
  // Made twice: the second time lies over the first.
  fs::create_directories(pod_);
  ASSERT_TRUE(MakePodFiles(pod_, {}).ok());
  ASSERT_TRUE(MakePodFiles(pod_, {"a", "b", "c"}).ok());
  EXPECT_EQ(ReadFile(Path("hosts")), "c");
  EXPECT_TRUE(RemovePodDirectory(pod_).ok());
  EXPECT_FALSE(fs::exists(pod_));
}

}  // namespace
}  // namespace caisson::ops
