#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/bench/processes.h"
#include "tests/bench/report.h"
#include "tests/bench/samples.h"
#include "tests/bench/targets.h"

namespace caisson::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
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

TEST(TargetsTest, LessOrMoreIsBetter) {
  const Metric time = {"t", "t", "ms", 20, "", false, true};
  EXPECT_DOUBLE_EQ(Ratio(time, 2, 50), 25);
  const Metric rate = {"r", "r", "MB/s", 18, "", true, true};
  EXPECT_DOUBLE_EQ(Ratio(rate, 800, 40), 20);
  EXPECT_EQ(Ratio(rate, 0, 40), 0);
  EXPECT_EQ(Ratio(time, 2, 0), 0);
}

TEST(TargetsTest, ARowIsJudgedByItsRatio) {
  const Metric row = {"t", "t", "ms", 20, "", false, true};
  EXPECT_EQ(VerdictOn({}, row, 20), Verdict::kMet);
  EXPECT_EQ(VerdictOn({}, row, 19.9), Verdict::kMissed);
  EXPECT_EQ(VerdictOn({}, row, 0), Verdict::kNone);
  const Metric untargeted = {"t", "t", "ms", 0, "", false, true};
  EXPECT_EQ(VerdictOn({}, untargeted, 1), Verdict::kNone);
  const Metric later = {"t", "t", "ms", 20, "", false, false};
  EXPECT_EQ(VerdictOn({}, later, 1), Verdict::kNotJudged);
  EXPECT_EQ(VerdictOn({true, 0}, later, 1), Verdict::kMissed);
}

TEST(TargetsTest, OneRatioForAllRowsJudgesEach) {
  const Judge no_slower = {false, 0.95};
  for (const Metric& metric : Metrics()) {
    EXPECT_EQ(VerdictOn(no_slower, metric, 0.95), Verdict::kMet);
    EXPECT_EQ(VerdictOn(no_slower, metric, 0.94), Verdict::kMissed);
  }
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

TEST(ReportTest, TellsTheRatioAndWhetherTheTargetIsMet) {
  const Measured a = {"a", "unix:///a", {{"exec", {2, 2, 2}}}, {}};
  const Measured b = {"b", "unix:///b", {{"exec", {50, 60}}}, {"log: no"}};
  const std::string text = FormatReport({a, b}, {});
  EXPECT_THAT(text, HasSubstr("25.0x"));
  EXPECT_THAT(text, HasSubstr("met"));
  EXPECT_THAT(text, HasSubstr("b: log: no\n"));
  EXPECT_THAT(Missed({a, b}, {}), IsEmpty());
  EXPECT_THAT(FormatReport({b, a}, {}), HasSubstr("MISSED"));
  EXPECT_THAT(Missed({b, a}, {}), ElementsAre("ExecSync true"));
  EXPECT_THAT(FormatReport({b}, {}), Not(HasSubstr("RATIO")));
  EXPECT_THAT(Missed({b}, {}), IsEmpty());
}

TEST(ReportTest, JsonHasSamplesAndVerdicts) {
  const Measured a = {"a", "unix:///a", {{"exec", {2, 2, 2}}}, {}};
  const Measured b = {"b", "unix:///b", {{"exec", {50, 60}}}, {}};
  const std::string text = FormatJson({a, b}, {});
  EXPECT_THAT(text, HasSubstr("\"p90\": 2.0"));
  EXPECT_THAT(text, HasSubstr("\"ratio\": 25.0"));
  EXPECT_THAT(text, HasSubstr("\"verdict\": \"met\""));
}

}  // namespace
}  // namespace caisson::bench
