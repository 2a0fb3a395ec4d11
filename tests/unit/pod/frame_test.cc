#include "runtime/base/frame.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace caisson {
namespace {

class FrameTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
  }

  void SendRaw(const std::string& bytes) {
    ASSERT_EQ(send(ours_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }

  // Whether both are the same open file.
  static bool SameFile(int one, int other) {
    struct stat a = {};
    struct stat b = {};
    return fstat(one, &a) == 0 && fstat(other, &b) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
  }

  static UniqueFd Open(const char* path) {
    return UniqueFd(open(path, O_RDONLY | O_CLOEXEC));
  }

  UniqueFd ours_;
  UniqueFd theirs_;
};

TEST_F(FrameTest, FramesArriveWholeAndInOrder) {
  for (const std::string text : {"one", "", "three"}) {
    ASSERT_TRUE(SendFrame(ours_.get(), text, {}).ok());
  }
  for (const std::string text : {"one", "", "three"}) {
    const auto frame = ReceiveFrame(theirs_.get());
    ASSERT_TRUE(frame.ok()) << frame.status();
    EXPECT_EQ(frame->bytes, text);
    EXPECT_TRUE(frame->fds.empty());
  }
}

TEST_F(FrameTest, FdsBelongToTheirFrame) {
  const UniqueFd null = Open("/dev/null");
  const UniqueFd zero = Open("/dev/zero");
  const int first[] = {null.get()};
  const int third[] = {zero.get(), null.get()};
  ASSERT_TRUE(SendFrame(ours_.get(), "a", first).ok());
  ASSERT_TRUE(SendFrame(ours_.get(), "b", {}).ok());
  ASSERT_TRUE(SendFrame(ours_.get(), "", third).ok());

  const auto a = ReceiveFrame(theirs_.get());
  ASSERT_TRUE(a.ok() && a->fds.size() == 1);
  EXPECT_TRUE(SameFile(a->fds[0].get(), null.get()));
  EXPECT_EQ(fcntl(a->fds[0].get(), F_GETFD), FD_CLOEXEC);
  const auto b = ReceiveFrame(theirs_.get());
  ASSERT_TRUE(b.ok());
  EXPECT_TRUE(b->fds.empty());
  const auto c = ReceiveFrame(theirs_.get());
  ASSERT_TRUE(c.ok() && c->fds.size() == 2);
  EXPECT_TRUE(SameFile(c->fds[0].get(), zero.get()));
  EXPECT_TRUE(SameFile(c->fds[1].get(), null.get()));
}

TEST_F(FrameTest, LargestFramePassesASmallSocketBuffer) {
  const UniqueFd null = Open("/dev/null");
  const std::vector<int> fds(kMaxFrameFds, null.get());
  std::string bytes(kMaxFrameBytes, 'x');
  bytes.back() = 'y';
  std::thread sender(
      [&] { EXPECT_TRUE(SendFrame(ours_.get(), bytes, fds).ok()); });
  const auto frame = ReceiveFrame(theirs_.get());
  sender.join();
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_TRUE(frame->bytes == bytes);
  EXPECT_EQ(frame->fds.size(), kMaxFrameFds);
}

TEST_F(FrameTest, TooMuchIsNotSent) {
  const std::vector<int> fds(kMaxFrameFds + 1, 0);
  EXPECT_TRUE(absl::IsInvalidArgument(SendFrame(ours_.get(), "a", fds)));
  EXPECT_TRUE(absl::IsInvalidArgument(
      SendFrame(ours_.get(), std::string(kMaxFrameBytes + 1, 'x'), {})));
}

TEST_F(FrameTest, TooLargeLengthIsRefused) {
  SendRaw(std::string("\x01\x00\x00\x01", 4));
  EXPECT_TRUE(absl::IsDataLoss(ReceiveFrame(theirs_.get()).status()));
}

TEST_F(FrameTest, EndBetweenFramesDiffersFromEndWithin) {
  SendRaw(std::string("\x02\x00\x00\x00z", 5));
  shutdown(ours_.get(), SHUT_WR);
  EXPECT_TRUE(absl::IsDataLoss(ReceiveFrame(theirs_.get()).status()));
  EXPECT_TRUE(absl::IsOutOfRange(ReceiveFrame(theirs_.get()).status()));
}

TEST_F(FrameTest, SendToNobodyIsUnavailable) {
  theirs_.reset();
  EXPECT_TRUE(absl::IsUnavailable(SendFrame(ours_.get(), "a", {})));
}

TEST_F(FrameTest, ReaderPutsAFrameTogetherByteByByte) {
  FrameReader reader;
  const std::string raw("\x03\x00\x00\x00xyz\x00\x00\x00\x00", 11);
  std::vector<std::string> frames;
  for (const char byte : raw) {
    SendRaw(std::string(1, byte));
    auto frame = reader.Read(theirs_.get());
    ASSERT_TRUE(frame.ok()) << frame.status();
    if (frame->has_value()) {
      frames.push_back((*frame)->bytes);
    }
  }
  EXPECT_EQ(frames, (std::vector<std::string>{"xyz", ""}));
}

TEST_F(FrameTest, ReaderKeepsFdsWithTheirFrame) {
  const UniqueFd null = Open("/dev/null");
  const int fds[] = {null.get()};
  ASSERT_TRUE(SendFrame(ours_.get(), "a", {}).ok());
  ASSERT_TRUE(SendFrame(ours_.get(), "b", fds).ok());
  FrameReader reader;
  const auto a = reader.Read(theirs_.get());
  ASSERT_TRUE(a.ok() && a->has_value());
  EXPECT_TRUE((*a)->fds.empty());
  const auto b = reader.Read(theirs_.get());
  ASSERT_TRUE(b.ok() && b->has_value());
  EXPECT_EQ((*b)->fds.size(), 1u);
  const auto nothing = reader.Read(theirs_.get());
  ASSERT_TRUE(nothing.ok());
  EXPECT_FALSE(nothing->has_value());
}

TEST_F(FrameTest, ReaderTellsTheEnd) {
  FrameReader between;
  FrameReader within;
  SendRaw(std::string("\x02\x00\x00\x00z", 5));
  ASSERT_TRUE(within.Read(theirs_.get()).ok());
  shutdown(ours_.get(), SHUT_WR);
  EXPECT_TRUE(absl::IsDataLoss(within.Read(theirs_.get()).status()));
  EXPECT_TRUE(absl::IsOutOfRange(between.Read(theirs_.get()).status()));
}

}  // namespace
}  // namespace caisson
