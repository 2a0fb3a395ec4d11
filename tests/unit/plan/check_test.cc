#include "shim/plan/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::plan {
namespace {

using ::testing::EndsWith;

std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

TEST(CheckTest, MessageShowsAtMost128BytesOfAValueAndNoControlCharacter) {
  const absl::Status status =
      CheckText("field", "\x1b[31m" + std::string(10000, 'x'), 20, false);
  EXPECT_EQ(Text(status), "check field: \"\\x1b[31m" + std::string(123, 'x') +
                              "\" is longer than 20 bytes");
}

TEST(CheckTest, BoundsAreInclusive) {
  EXPECT_TRUE(CheckText("f", std::string(20, 'x'), 20, false).ok());
  EXPECT_FALSE(CheckText("f", std::string(21, 'x'), 20, false).ok());
  EXPECT_TRUE(CheckName("f", std::string(253, 'x'), false).ok());
  EXPECT_FALSE(CheckName("f", std::string(254, 'x'), false).ok());
  EXPECT_TRUE(CheckId("f", 0).ok());
  EXPECT_TRUE(CheckId("f", 2147483647).ok());
  EXPECT_FALSE(CheckId("f", 2147483648).ok());
  EXPECT_FALSE(CheckId("f", -1).ok());
  EXPECT_FALSE(CheckId("f", INT64_MIN).ok());
  EXPECT_TRUE(CheckAbsolutePath("f", "/" + std::string(4094, 'x')).ok());
  EXPECT_FALSE(CheckAbsolutePath("f", "/" + std::string(4095, 'x')).ok());
}

TEST(CheckTest, NamesArePathComponents) {
  for (const char* good : {"a", "a.b", "...", ".hidden", "ä", "a b"}) {
    EXPECT_TRUE(CheckName("f", good, false).ok()) << good;
  }
  for (const char* bad : {"", ".", "..", "/", "a/", "/a", "a\tb"}) {
    EXPECT_FALSE(CheckName("f", bad, false).ok()) << bad;
  }
  EXPECT_TRUE(CheckName("f", "", true).ok());
}

TEST(CheckTest, ParentIsRefusedAsAComponentOnly) {
  for (const char* good : {"/", "/a", "/a..b", "/..a", "/a/...", "/a../b"}) {
    EXPECT_TRUE(CheckPlainPath("f", good).ok()) << good;
  }
  for (const char* bad : {"/..", "/a/..", "/a/../b", "/../a", "a"}) {
    EXPECT_FALSE(CheckPlainPath("f", bad).ok()) << bad;
  }
  EXPECT_THAT(Text(CheckPlainPath("f", "/a/..")),
              EndsWith("has a \"..\" in it"));
}

}  // namespace
}  // namespace caisson::plan
