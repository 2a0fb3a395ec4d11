#include "tests/security/rows.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace caisson::cri_test {
namespace {

// Suites and tests of this program, without what parameters add to them.
std::set<std::string> AllTests() {
  std::set<std::string> tests;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    std::string name = suite.name();
    name = name.substr(name.find('/') + 1);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      std::string test = suite.GetTestInfo(j)->name();
      tests.insert(absl::StrCat(name, ".", test.substr(0, test.find('/'))));
    }
  }
  return tests;
}

// Rows `group`1 to `group``last` are all there, and so are their tests.
void Check(const Rows& rows, const std::string& group, int last) {
  const std::set<std::string> tests = AllTests();
  for (int i = 1; i <= last; ++i) {
    EXPECT_TRUE(rows.contains(absl::StrCat(group, i))) << group << i;
  }
  for (const auto& [row, test] : rows) {
    EXPECT_TRUE(absl::StartsWith(test, "none: ") || tests.contains(test))
        << row << ": " << test;
  }
}

TEST(RowsTest, EveryRowOfTheGroupsHasItsTests) {
  Check(RowsOfGroupA(), "A", 16);
  Check(RowsOfGroupB(), "B", 33);
  Check(RowsOfGroupC(), "C", 26);
  Check(RowsOfGroupH(), "H", 6);
}

}  // namespace
}  // namespace caisson::cri_test
