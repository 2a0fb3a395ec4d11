#include "shim/ctl/table.h"

#include "gtest/gtest.h"

namespace caisson::ctl {
namespace {

TEST(TableTest, AlignsColumns) {
  EXPECT_EQ(FormatTable({{"A", "LONG", "Z"}, {"xyz", "b", "c"}}),
            "A    LONG  Z\n"
            "xyz  b     c\n");
}

TEST(TableTest, ReplacesControlCharacters) {
  EXPECT_EQ(FormatTable({{"a\x1b[2J\n"}}), "a?[2J?\n");
}

}  // namespace
}  // namespace caisson::ctl
