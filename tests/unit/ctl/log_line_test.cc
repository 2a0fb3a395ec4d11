#include "shim/ctl/log_line.h"

#include "gtest/gtest.h"

namespace caisson::ctl {
namespace {

TEST(LogLineTest, ReadsBothStreams) {
  const absl::StatusOr<LogLine> out =
      ParseLogLine("2026-11-23T19:04:10.123456789Z stdout F a b ");
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_FALSE(out->is_stderr);
  EXPECT_FALSE(out->partial);
  EXPECT_EQ(out->text, "a b ");
  const absl::StatusOr<LogLine> err =
      ParseLogLine("2026-11-23T19:04:10.1+01:00 stderr P:later x");
  ASSERT_TRUE(err.ok()) << err.status();
  EXPECT_TRUE(err->is_stderr);
  EXPECT_TRUE(err->partial);
  EXPECT_EQ(err->text, "x");
}

TEST(LogLineTest, AnEmptyLineHasEmptyText) {
  const absl::StatusOr<LogLine> line = ParseLogLine("t stdout F ");
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->text, "");
}

TEST(LogLineTest, RefusesWhatIsNoLogLine) {
  for (const char* line : {"", "t", "t stdout", "t stdout F", "t stdin F x",
                           "t stdout G x", " stdout F x"}) {
    EXPECT_FALSE(ParseLogLine(line).ok()) << line;
  }
}

}  // namespace
}  // namespace caisson::ctl
