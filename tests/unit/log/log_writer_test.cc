#include "runtime/keeper/log_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace caisson::keeper {
namespace {

using ::testing::ElementsAre;
using ::testing::MatchesRegex;

class LogWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), 0);
    ASSERT_GT(fcntl(pipe_[1], F_SETPIPE_SZ, 1 << 20), 0);
  }

  void TearDown() override {
    close(pipe_[0]);
    CloseInput();
  }

  static UniqueFd File() { return UniqueFd(memfd_create("log", MFD_CLOEXEC)); }

  static UniqueFd Same(const UniqueFd& fd) {
    return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  }

  void Write(const std::string& text) {
    ASSERT_EQ(write(pipe_[1], text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }

  void CloseInput() {
    if (pipe_[1] >= 0) {
      close(pipe_[1]);
      pipe_[1] = -1;
    }
  }

  static std::string Text(const UniqueFd& file) {
    std::string text(8 << 20, '\0');
    const ssize_t got = pread(file.get(), text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return text;
  }

  // Records without their time: "stdout F text".
  static std::vector<std::string> Records(const UniqueFd& file) {
    std::vector<std::string> records;
    std::string text = Text(file);
    EXPECT_TRUE(text.empty() || text.back() == '\n');
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      if (!line.empty()) {
        records.emplace_back(line.substr(std::min<size_t>(31, line.size())));
      }
    }
    return records;
  }

  int pipe_[2] = {-1, -1};
};

TEST_F(LogWriterTest, RecordsAreInTheFormatOfTheKubelet) {
  const UniqueFd file = File();
  LogWriter writer(Same(file));
  Write("hello\n");
  const auto open = writer.Drain(pipe_[0], Stream::kStderr);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_TRUE(*open);
  EXPECT_THAT(Text(file),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:"
                           "[0-9]{2}[.][0-9]{9}Z stderr F hello\n"));
}

TEST_F(LogWriterTest, EmptyLinesAreRecordsToo) {
  const UniqueFd file = File();
  LogWriter writer(Same(file));
  Write("\na\n\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  EXPECT_THAT(Records(file),
              ElementsAre("stdout F ", "stdout F a", "stdout F "));
}

TEST_F(LogWriterTest, LinesThatArriveInPiecesAreOneRecord) {
  const UniqueFd file = File();
  LogWriter writer(Same(file));
  for (const char* piece : {"on", "", "e li", "ne\ntwo"}) {
    Write(piece);
    ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  }
  EXPECT_THAT(Records(file), ElementsAre("stdout F one line"));
}

TEST_F(LogWriterTest, UnfinishedLineIsWrittenAtTheEndOfTheStream) {
  const UniqueFd file = File();
  LogWriter writer(Same(file));
  Write("a\nunfinished");
  CloseInput();
  auto open = writer.Drain(pipe_[0], Stream::kStdout);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_FALSE(*open);
  EXPECT_THAT(Records(file), ElementsAre("stdout F a", "stdout F unfinished"));
}

TEST_F(LogWriterTest, LongLinesAreSplitIntoPartialRecords) {
  const UniqueFd file = File();
  LogWriter writer(Same(file));
  Write(std::string(2 * kMaxLogText + 5, 'x') + "\nshort\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  const std::string full(kMaxLogText, 'x');
  EXPECT_THAT(Records(file), ElementsAre("stdout P " + full, "stdout P " + full,
                                         "stdout F xxxxx", "stdout F short"));
}

TEST_F(LogWriterTest, LineOfExactlyTheLongestTextIsWhole) {
  const std::string full(kMaxLogText, 'x');
  const UniqueFd file = File();
  LogWriter writer(Same(file));
  Write(full);
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  Write("\n" + full + "\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  EXPECT_THAT(Records(file),
              ElementsAre("stdout F " + full, "stdout F " + full));
}

TEST_F(LogWriterTest, BegunLinesOfBothStreamsDoNotMix) {
  const UniqueFd file = File();
  LogWriter writer(Same(file));
  Write("out");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  Write("err\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStderr).ok());
  Write("put\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  EXPECT_THAT(Records(file), ElementsAre("stderr F err", "stdout F output"));
}

TEST_F(LogWriterTest, EveryByteOfMuchOutputIsKept) {
  const UniqueFd file = File();
  LogWriter writer(Same(file));
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string line =
        absl::StrCat(i, std::string(static_cast<size_t>(i % 300), '\x01'));
    Write(line + "\n");
    absl::StrAppend(&expected, "stdout F ", line, "\n");
    if (i % 37 == 0) {
      ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
    }
  }
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  std::string got;
  for (const std::string& record : Records(file)) {
    absl::StrAppend(&got, record, "\n");
  }
  EXPECT_EQ(got, expected);
}

TEST_F(LogWriterTest, ReopenGoesOnInTheOtherFile) {
  const UniqueFd first = File();
  const UniqueFd second = File();
  LogWriter writer(Same(first));
  Write("one\nbeg");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  writer.Reopen(Same(second));
  Write("un\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  EXPECT_THAT(Records(first), ElementsAre("stdout F one"));
  EXPECT_THAT(Records(second), ElementsAre("stdout F begun"));
}

TEST_F(LogWriterTest, FullDiskDropsAndSaysSoLater) {
  LogWriter writer(UniqueFd(open("/dev/full", O_WRONLY | O_CLOEXEC)));
  for (int i = 0; i < 3; ++i) {
    Write("lost\n");
    const auto open = writer.Drain(pipe_[0], Stream::kStdout);
    ASSERT_TRUE(open.ok()) << open.status();
    EXPECT_TRUE(*open);
  }
  const UniqueFd file = File();
  writer.Reopen(Same(file));
  Write("kept\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  // Three records of 40 bytes of prefix, four of text and a newline.
  EXPECT_THAT(Records(file),
              ElementsAre("stderr F caisson: dropped 135 bytes of log that "
                          "could not be written",
                          "stdout F kept"));
  EXPECT_NE(Text(file)[0], '\n');
}

TEST_F(LogWriterTest, FileThatTakesPartOfARecordGoesOnAtALineOfItsOwn) {
  const UniqueFd file(memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_TRUE(file.ok());
  // A sealed size stands for the full disk: writes beyond it are cut or fail.
  ASSERT_EQ(ftruncate(file.get(), 60), 0);
  ASSERT_EQ(fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
  LogWriter writer(Same(file));
  Write("first\nsecond\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  const UniqueFd next = File();
  writer.Reopen(Same(next));
  Write("third\n");
  ASSERT_TRUE(writer.Drain(pipe_[0], Stream::kStdout).ok());
  const std::vector<std::string> records = Records(next);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_TRUE(absl::StartsWith(records[0], "stderr F caisson: dropped "));
  EXPECT_EQ(records[1], "stdout F third");
}

TEST_F(LogWriterTest, WithoutALogOutputIsDiscarded) {
  LogWriter writer{UniqueFd()};
  Write("nobody reads this\n");
  const auto open = writer.Drain(pipe_[0], Stream::kStdout);
  ASSERT_TRUE(open.ok()) << open.status();
  char byte = 0;
  EXPECT_EQ(read(pipe_[0], &byte, 1), -1) << "the pipe was not emptied";
}

}  // namespace
}  // namespace caisson::keeper
