#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <climits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/unique_fd.h"
#include "tests/security/process_facts.h"
#include "tests/security/security_fixture.h"

// Group A, the program of the runtime as containers get to see it.
namespace caisson::cri_test {
namespace {

using ::testing::AnyOf;

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

std::string LinkOf(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), target, sizeof(target));
  return length < 0 ? "" : std::string(target, static_cast<size_t>(length));
}

class RuntimeBinaryTest : public SecurityTest {
 protected:
  // What stands for the runtime around a created container: its init, which
  // still is the runtime's program, and the keeper.
  std::vector<int> StagesOf(const std::string& container) {
    const int init = PidOf(container);
    int keeper = 0;
    EXPECT_TRUE(absl::SimpleAtoi(StatusOf(init, "PPid"), &keeper));
    return {init, keeper};
  }
};

CAISSON_BOTH_MODES(RuntimeBinaryTest);

// CVE-2019-5736, seen from the host.
TEST_P(RuntimeBinaryTest, A1StagesRunASealedCopy) {
  for (const int pid : StagesOf(Create(ModePod(), nullptr))) {
    const std::string exe = absl::StrCat("/proc/", pid, "/exe");
    EXPECT_EQ(LinkOf(exe), "/memfd:caisson-keeper (deleted)");
    const UniqueFd program(open(exe.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(program.ok());
    EXPECT_EQ(fcntl(program.get(), F_GET_SEALS) & kSeals, kSeals);
  }
}

// Dirty Pipe's kind: no page of the file on disk is in reach.
TEST_P(RuntimeBinaryTest, A2StagesShareNoPageWithTheHostsFile) {
  struct stat host = {};
  ASSERT_EQ(stat(CAISSON_BIN_DIR "/caisson-keeper", &host), 0);
  for (const int pid : StagesOf(Create(ModePod(), nullptr))) {
    const std::string exe = absl::StrCat("/proc/", pid, "/exe");
    struct stat facts = {};
    struct statfs filesystem = {};
    ASSERT_EQ(stat(exe.c_str(), &facts), 0);
    ASSERT_EQ(statfs(exe.c_str(), &filesystem), 0);
    EXPECT_FALSE(facts.st_dev == host.st_dev && facts.st_ino == host.st_ino);
    EXPECT_EQ(filesystem.f_type, TMPFS_MAGIC);
  }
}

// CVE-2019-5736 itself: the container makes the runtime run its own program,
// keeps hold of it and writes to it whenever it can.
TEST_P(RuntimeBinaryTest, A1WhatAContainerGetsHoldOfItCannotWrite) {
  const std::string image =
      Image({{{"name", "entry"}, {"data", "#!/proc/self/exe\n"}}});
  const std::string pod = ModePod();
  const std::string spy = Start(pod, [&](cri::ContainerConfig& config) {
    config.mutable_image()->set_image(image);
    config.set_log_path("spy.log");
    config.clear_command();
    for (const char* word : {"/caisson-probe", "spy", "0", "0"}) {
      config.add_command(word);
    }
  });
  for (int i = 0; i < 100; ++i) {
    cri::ExecSyncResponse response;
    const grpc::Status status = Exec(spy, {"/entry"}, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    // It says that it is not started by hand: the runtime's program it was.
    EXPECT_EQ(response.exit_code(), 2);
  }
  const Json score = StopAndReadJson(spy, "spy.log");
  EXPECT_GT(score["programs"], 0);
  EXPECT_EQ(score["written"], 0);
  const std::string errors = score["write_errors"];
  for (absl::string_view error :
       absl::StrSplit(errors, ' ', absl::SkipEmpty())) {
    EXPECT_THAT(std::string(error), AnyOf("ETXTBSY", "EPERM", "EACCES"));
  }
  // As the first program of a container, too.
  const std::string first = Start(pod, [&](cri::ContainerConfig& config) {
    config.mutable_image()->set_image(image);
    config.clear_command();
    config.add_command("/entry");
  });
  EXPECT_NE(first, "");
}

}  // namespace
}  // namespace caisson::cri_test
