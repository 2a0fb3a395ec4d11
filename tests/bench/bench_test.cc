#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/bench/budgets.h"
#include "tests/bench/processes.h"
#include "tests/bench/report.h"
#include "tests/bench/samples.h"

namespace caisson::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(SamplesTest, PercentilesAreMeasuredValues) {
  const Samples samples = {5, 1, 4, 2, 3};
  EXPECT_EQ(Percentile(samples, 0), 1);
  EXPECT_EQ(Percentile(samples, 0.5), 3);
  EXPECT_EQ(Percentile(samples, 0.9), 5);
  EXPECT_EQ(Percentile(samples, 1), 5);
  EXPECT_EQ(Percentile({7}, 0.5), 7);
  EXPECT_EQ(Percentile({}, 0.5), 0);
}

TEST(BudgetTest, LessOrMoreIsBetter) {
  const Metric time = {"t", "t", "ms", 0, 4, false};
  EXPECT_TRUE(KeepsBudget(time, 4));
  EXPECT_FALSE(KeepsBudget(time, 4.1));
  const Metric rate = {"r", "r", "MB/s", 0, 300, true};
  EXPECT_TRUE(KeepsBudget(rate, 300));
  EXPECT_FALSE(KeepsBudget(rate, 299));
}

TEST(ProcessesTest, PatternsHaveAlternatives) {
  EXPECT_TRUE(Matches("containerd|/pause", "/usr/bin/containerd-shim"));
  EXPECT_TRUE(Matches("containerd|/pause", "/pause "));
  EXPECT_FALSE(Matches("containerd|/pause", "sleep 1"));
  EXPECT_FALSE(Matches("", "sleep 1"));
}

TEST(ProcessesTest, ReadsLinesInKilobytes) {
  const absl::StatusOr<double> pss =
      KilobyteLine("Rss:  9 kB\nPss_Dirty:  1 kB\nPss:    1000 kB\n", "Pss");
  ASSERT_TRUE(pss.ok()) << pss.status();
  EXPECT_DOUBLE_EQ(*pss, 1.024);
  EXPECT_FALSE(KilobyteLine("Rss: 9 kB\n", "Pss").ok());
}

TEST(ProcessesTest, MeasuresAProcess) {
  const absl::StatusOr<double> own = ResidentMegabytes(::getpid());
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_GT(*own, 0.5);
}

TEST(ReportTest, TellsTheRatioAndWhetherTheBudgetIsKept) {
  const Measured a = {"a", "unix:///a", {{"exec", {2, 2, 2}}}, {}};
  const Measured b = {"b", "unix:///b", {{"exec", {50, 40}}}, {"log: no"}};
  const std::string text = FormatReport({a, b});
  EXPECT_THAT(text, HasSubstr("20.0x"));
  EXPECT_THAT(text, HasSubstr("kept"));
  EXPECT_THAT(text, HasSubstr("b: log: no\n"));
  EXPECT_THAT(FormatReport({b}), HasSubstr("MISSED"));
  EXPECT_THAT(FormatReport({b}), Not(HasSubstr("RATIO")));
  EXPECT_THAT(FormatJson({a}), HasSubstr("\"p90\": 2.0"));
}

}  // namespace
}  // namespace caisson::bench
