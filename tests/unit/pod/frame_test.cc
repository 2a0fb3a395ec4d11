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

Deadline In(int milliseconds) {
  return Deadline::After(absl::Milliseconds(milliseconds));
}

TEST_F(FrameTest, SendingToWhoDoesNotReadEndsByTheDeadline) {
  const absl::Status sent =
      SendFrame(ours_.get(), std::string(8 << 20, 'x'), {}, In(100));
  EXPECT_TRUE(absl::IsDeadlineExceeded(sent)) << sent;
}

TEST_F(FrameTest, ReceivingFromWhoSendsHalfEndsByTheDeadline) {
  SendRaw(std::string("\x08\x00\x00\x00half", 8));
  const auto frame = ReceiveFrame(theirs_.get(), In(100));
  EXPECT_TRUE(absl::IsDeadlineExceeded(frame.status())) << frame.status();
}

TEST_F(FrameTest, WithTimeEnoughDeadlinesChangeNothing) {
  const std::string large(8 << 20, 'x');
  std::thread sender(
      [&] { EXPECT_TRUE(SendFrame(ours_.get(), large, {}, In(30000)).ok()); });
  const auto frame = ReceiveFrame(theirs_.get(), In(30000));
  sender.join();
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(frame->bytes, large);
}

TEST_F(FrameTest, AWriterSendsPieceByPieceWithoutWaiting) {
  FrameWriter writer;
  const std::string large(4 << 20, 'x');
  std::vector<UniqueFd> fds;
  fds.push_back(Open("/dev/null"));
  ASSERT_TRUE(writer.Add("first", {}).ok());
  ASSERT_TRUE(writer.Add(large, std::move(fds)).ok());
  ASSERT_TRUE(writer.Add("last", {}).ok());
  EXPECT_EQ(writer.frames(), 3u);
  const auto all = writer.Write(ours_.get());
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_FALSE(*all);
  std::vector<Frame> frames;
  FrameReader reader;
  while (frames.size() < 3) {
    auto frame = reader.Read(theirs_.get());
    ASSERT_TRUE(frame.ok()) << frame.status();
    if (frame->has_value()) {
      frames.push_back(std::move(**frame));
    }
    ASSERT_TRUE(writer.Write(ours_.get()).ok());
  }
  EXPECT_TRUE(writer.empty());
  EXPECT_EQ(writer.bytes(), 0u);
  EXPECT_EQ(frames[0].bytes, "first");
  EXPECT_EQ(frames[1].bytes, large);
  EXPECT_EQ(frames[1].fds.size(), 1u);
  EXPECT_EQ(frames[2].bytes, "last");
  EXPECT_TRUE(frames[2].fds.empty());
}

TEST_F(FrameTest, AWriterTakesBackOnlyWhatIsNotBegun) {
  FrameWriter writer;
  const auto begun = writer.Add(std::string(4 << 20, 'x'), {});
  const auto waiting = writer.Add("waiting", {});
  ASSERT_TRUE(begun.ok() && waiting.ok());
  ASSERT_TRUE(writer.Write(ours_.get()).ok());
  EXPECT_FALSE(writer.Withdraw(*begun));
  EXPECT_TRUE(writer.Withdraw(*waiting));
  EXPECT_FALSE(writer.Withdraw(*waiting));
  EXPECT_EQ(writer.frames(), 1u);
}

}  // namespace
}  // namespace caisson
