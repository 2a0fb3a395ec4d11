#include "shim/core/lifecycle.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

namespace caisson::core {
namespace {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

TEST(LifecycleTest, EveryPairOfStatesOfAPod) {
  const PodRecord::State states[] = {PodRecord::CREATING, PodRecord::READY,
                                     PodRecord::STOPPED};
  const std::set<std::pair<int, int>> follow = {
      {PodRecord::CREATING, PodRecord::READY},
      {PodRecord::CREATING, PodRecord::STOPPED},
      {PodRecord::READY, PodRecord::STOPPED}};
  for (const PodRecord::State from : states) {
    for (const PodRecord::State to : states) {
      EXPECT_EQ(MayFollow(from, to), follow.contains({from, to}))
          << StateName(from) << " -> " << StateName(to);
    }
  }
}

TEST(LifecycleTest, EveryPairOfStatesOfAContainer) {
  const ContainerRecord::State states[] = {
      ContainerRecord::CREATING, ContainerRecord::CREATED,
      ContainerRecord::RUNNING, ContainerRecord::EXITED};
  const std::set<std::pair<int, int>> follow = {
      {ContainerRecord::CREATING, ContainerRecord::CREATED},
      {ContainerRecord::CREATING, ContainerRecord::EXITED},
      {ContainerRecord::CREATED, ContainerRecord::RUNNING},
      {ContainerRecord::CREATED, ContainerRecord::EXITED},
      {ContainerRecord::RUNNING, ContainerRecord::EXITED}};
  for (const ContainerRecord::State from : states) {
    for (const ContainerRecord::State to : states) {
      EXPECT_EQ(MayFollow(from, to), follow.contains({from, to}))
          << StateName(from) << " -> " << StateName(to);
    }
  }
}

TEST(LifecycleTest, StatesHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (int state = 0; state < ContainerRecord::State_ARRAYSIZE; ++state) {
    names.insert(StateName(static_cast<ContainerRecord::State>(state)));
  }
  EXPECT_EQ(names.size(), size_t{ContainerRecord::State_ARRAYSIZE});
  names.clear();
  for (int state = 0; state < PodRecord::State_ARRAYSIZE; ++state) {
    names.insert(StateName(static_cast<PodRecord::State>(state)));
  }
  EXPECT_EQ(names.size(), size_t{PodRecord::State_ARRAYSIZE});
}

}  // namespace
}  // namespace caisson::core
