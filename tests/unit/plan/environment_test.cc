#include "shim/plan/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shim/plan/path_set.h"

namespace caisson::plan {
namespace {

using ::testing::ElementsAre;

TEST(EnvironmentTest, TheLastWordHoldsAndStandsWhereItWasSaid) {
  Environment env;
  env.SetEntry("A=1");
  env.Set("B", "2");
  env.SetEntry("A=3=4");
  env.SetEntry("no-equals-sign");
  env.SetEntry("=x");
  env.SetEntry("C=");
  EXPECT_TRUE(env.Has("A"));
  EXPECT_TRUE(env.Has("C"));
  EXPECT_FALSE(env.Has("no-equals-sign"));
  EXPECT_FALSE(env.Has(""));
  EXPECT_THAT(env.Take(), ElementsAre("B=2", "A=3=4", "C="));
  EXPECT_THAT(env.Take(), ElementsAre());
}

TEST(PathSetTest, CoversWhatIsAtOrBelowAMember) {
  PathSet set;
  EXPECT_FALSE(set.Covers("/"));
  set.Insert("/a/b");
  set.Insert("/c");
  EXPECT_TRUE(set.Covers("/a/b"));
  EXPECT_TRUE(set.Covers("/a/b/d"));
  EXPECT_TRUE(set.Covers("/c/d/e"));
  EXPECT_FALSE(set.Covers("/a"));
  EXPECT_FALSE(set.Covers("/a/bb"));
  EXPECT_FALSE(set.Covers("/b"));
  EXPECT_FALSE(set.Covers("/"));
  set.Insert("/");
  EXPECT_TRUE(set.Covers("/x"));
  EXPECT_TRUE(set.Covers("/"));
}

}  // namespace
}  // namespace caisson::plan
