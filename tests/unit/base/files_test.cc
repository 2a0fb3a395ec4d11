#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "runtime/base/make_directory.h"
#include "runtime/base/pipe.h"
#include "runtime/base/read_file.h"
#include "runtime/base/socket_pair.h"
#include "runtime/base/write_all.h"
#include "tests/support/machine.h"

namespace caisson {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::TemporaryDirectory;
using ::testing::HasSubstr;
using ::testing::StartsWith;

bool ClosesOnExec(int fd) {
  return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

TEST(PipeTest, CarriesBytesAndClosesOnExec) {
  auto pipe = MakePipe(O_NONBLOCK);
  ASSERT_TRUE(pipe.ok()) << pipe.status();
  EXPECT_TRUE(ClosesOnExec(pipe->read.get()));
  EXPECT_TRUE(ClosesOnExec(pipe->write.get()));
  EXPECT_NE(fcntl(pipe->read.get(), F_GETFL) & O_NONBLOCK, 0);
  ASSERT_TRUE(WriteAll(pipe->write.get(), "text", "pipe").ok());
  pipe->write.reset();
  EXPECT_EQ(*ReadToEnd(pipe->read.get(), 4, "pipe"), "text");
}

TEST(SocketPairTest, IsConnectedAndClosesOnExec) {
  auto pair = MakeSocketPair();
  ASSERT_TRUE(pair.ok()) << pair.status();
  EXPECT_TRUE(ClosesOnExec(pair->ours.get()));
  EXPECT_TRUE(ClosesOnExec(pair->theirs.get()));
  ASSERT_TRUE(WriteAll(pair->ours.get(), "text", "socket").ok());
  pair->ours.reset();
  EXPECT_EQ(*ReadToEnd(pair->theirs.get(), 4, "socket"), "text");
}

TEST(ReadFileTest, ReadsWhatIsNoLongerThanAllowed) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  for (const size_t size : {0U, 1U, 4095U, 4096U, 4097U, 100000U}) {
    const std::string text(size, 'x');
    ASSERT_TRUE(WriteFile(path, text, 0600).ok());
    EXPECT_EQ(*ReadRegularFile(path, size), text) << size;
    EXPECT_EQ(*ReadRegularFile(path, 1 << 20), text) << size;
    if (size > 0) {
      EXPECT_TRUE(
          absl::IsInvalidArgument(ReadRegularFile(path, size - 1).status()))
          << size;
    }
  }
}

// They say that their size is 0.
TEST(ReadFileTest, ReadsFilesOfTheKernel) {
  const auto text = ReadRegularFile("/proc/self/status", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, StartsWith("Name:"));
}

TEST(ReadFileTest, WaitsForNobody) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(ReadRegularFile(path, 10).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(ReadRegularFile("/dev/zero", 10).status()));
  EXPECT_TRUE(absl::IsNotFound(ReadRegularFile(path + "-", 10).status()));
}

TEST(WriteAllTest, WritesMoreThanAPipeHolds) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok()) << pipe.status();
  const std::string text(1 << 20, 'x');
  std::string got;
  std::thread reader(
      [&] { got = *ReadToEnd(pipe->read.get(), text.size(), "pipe"); });
  EXPECT_TRUE(WriteAll(pipe->write.get(), text, "pipe").ok());
  pipe->write.reset();
  reader.join();
  EXPECT_EQ(got, text);
}

TEST(WriteAllTest, FollowsNoLink) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  ASSERT_TRUE(WriteFile(path, "long text", 0640).ok());
  ASSERT_TRUE(WriteFile(path, "text", 0600).ok());
  EXPECT_EQ(*ReadRegularFile(path, 100), "text");
  fs::create_symlink(path, directory.path() + "/link");
  const absl::Status status =
      WriteFile(directory.path() + "/link", "other", 0600);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/link"));
  EXPECT_EQ(*ReadRegularFile(path, 100), "text");
}

TEST(MakeDirectoryTest, MakesWhatIsMissing) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/a/b/c";
  EXPECT_TRUE(absl::IsNotFound(MakeDirectory(path, 0700)));
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = MakeDirectories(path, 0700);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_TRUE(MakeParents(path + "/d/file", 0700).ok());
  EXPECT_TRUE(fs::is_directory(path + "/d"));
  EXPECT_FALSE(fs::exists(path + "/d/file"));
}

TEST(MakeDirectoryTest, AFileIsNoDirectory) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  std::ofstream(path) << "x";
  const absl::Status status = MakeDirectory(path, 0700);
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
}

}  // namespace
}  // namespace caisson
