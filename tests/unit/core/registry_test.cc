#include "shim/core/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "shim/core/client_error.h"
#include "tests/support/objects.h"

namespace caisson::core {
namespace {

using ::caisson::testing::ContainerFactsOf;
using ::caisson::testing::IdOf;
using ::caisson::testing::PodFactsOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class RegistryTest : public ::testing::Test {
 protected:
  PodPtr MakePod(const std::string& id, const std::string& name) {
    return std::make_shared<Pod>(PodFactsOf(id, name), pool_);
  }

  static ContainerPtr MakeContainer(const std::string& id,
                                    const std::string& pod_id,
                                    const std::string& name) {
    return std::make_shared<Container>(ContainerFactsOf(id, pod_id, name));
  }

  PodPtr AddPod(const std::string& id, const std::string& name) {
    PodPtr pod = MakePod(id, name);
    PodPtr other;
    EXPECT_TRUE(registry_.Add(pod, &other).ok());
    return pod;
  }

  ContainerPtr AddContainer(const std::string& id, const std::string& pod_id,
                            const std::string& name) {
    ContainerPtr container = MakeContainer(id, pod_id, name);
    ContainerPtr other;
    EXPECT_TRUE(registry_.Add(container, &other).ok());
    return container;
  }

  ThreadPool pool_{"test", 1};
  Registry registry_;
};

TEST_F(RegistryTest, FindsByIdAndByTheBeginningOfOneAlone) {
  const PodPtr one = AddPod(IdOf("abc1"), "one");
  const PodPtr two = AddPod(IdOf("abc2"), "two");
  EXPECT_EQ(registry_.FindPod(IdOf("abc1")).value(), one);
  EXPECT_EQ(registry_.FindPod("abc1").value(), one);
  EXPECT_EQ(registry_.FindPod("abc2").value(), two);
}

TEST_F(RegistryTest, ABeginningOfSeveralIsNoName) {
  AddPod(IdOf("abc1"), "one");
  AddPod(IdOf("abc2"), "two");
  const absl::Status status = registry_.FindPod("abc").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(IdOf("abc1")));
  EXPECT_THAT(std::string(status.message()), HasSubstr(IdOf("abc2")));
  AddContainer(IdOf("d1"), IdOf("abc1"), "a");
  AddContainer(IdOf("d2"), IdOf("abc1"), "b");
  EXPECT_EQ(registry_.FindContainer("d").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RegistryTest, AWholeIdIsOneThoughAnotherBeginsSo) {
  const PodPtr one = AddPod("abc", "one");
  AddPod("abcd", "two");
  EXPECT_EQ(registry_.FindPod("abc").value(), one);
}

TEST_F(RegistryTest, NothingIsFoundByNothing) {
  AddPod(IdOf("abc1"), "one");
  for (const char* id : {"", "b", "abd", "ab0"}) {
    const absl::Status status = registry_.FindPod(id).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << id;
    // Of what the client named: it may hear so.
    EXPECT_EQ(AsAnswered(status).code(), absl::StatusCode::kNotFound) << id;
  }
  EXPECT_EQ(registry_.FindContainer(IdOf("abc1")).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(RegistryTest, OfANameThereIsOne) {
  const PodPtr one = AddPod(IdOf("a"), "one");
  PodPtr other;
  const absl::Status status = registry_.Add(MakePod(IdOf("b"), "one"), &other);
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(other, one);
  EXPECT_EQ(registry_.FindPod(IdOf("b")).status().code(),
            absl::StatusCode::kNotFound);

  const ContainerPtr first = AddContainer(IdOf("c"), IdOf("a"), "main");
  ContainerPtr another;
  EXPECT_EQ(registry_.Add(MakeContainer(IdOf("d"), IdOf("a"), "main"), &another)
                .code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(another, first);
  // Another pod's container may have it.
  AddContainer(IdOf("e"), IdOf("b"), "main");
  EXPECT_THAT(registry_.ContainersOf(IdOf("a")), ElementsAre(first));
}

TEST_F(RegistryTest, AttemptsHaveNamesOfTheirOwn) {
  v1::PodSandboxMetadata pod;
  pod.set_name("a");
  v1::PodSandboxMetadata again = pod;
  again.set_attempt(1);
  EXPECT_NE(NameKey(pod), NameKey(again));
  v1::ContainerMetadata container;
  container.set_name("a");
  v1::ContainerMetadata retried = container;
  retried.set_attempt(1);
  EXPECT_NE(NameKey("p", container), NameKey("p", retried));
  EXPECT_NE(NameKey("p", container), NameKey("q", container));
  // Each part counts.
  pod.set_uid("u");
  EXPECT_NE(NameKey(pod), NameKey(again));
}

TEST_F(RegistryTest, ANameIsFreeAgainAfterTheRemoval) {
  const PodPtr one = AddPod(IdOf("a"), "one");
  const ContainerPtr first = AddContainer(IdOf("c"), IdOf("a"), "main");
  registry_.Remove(*first);
  registry_.Remove(*one);
  EXPECT_THAT(registry_.Pods(), IsEmpty());
  EXPECT_THAT(registry_.Containers(), IsEmpty());
  EXPECT_THAT(registry_.ContainersOf(IdOf("a")), IsEmpty());
  AddPod(IdOf("b"), "one");
  AddContainer(IdOf("d"), IdOf("a"), "main");
}

TEST_F(RegistryTest, RemovingWhatIsGoneLeavesItsSuccessor) {
  const PodPtr one = AddPod(IdOf("a"), "one");
  registry_.Remove(*one);
  const PodPtr next = AddPod(IdOf("b"), "one");
  registry_.Remove(*one);
  EXPECT_EQ(registry_.FindPod(IdOf("b")).value(), next);
  PodPtr other;
  EXPECT_EQ(registry_.Add(MakePod(IdOf("c"), "one"), &other).code(),
            absl::StatusCode::kAlreadyExists);

  const ContainerPtr first = AddContainer(IdOf("d"), IdOf("b"), "main");
  registry_.Remove(*first);
  const ContainerPtr second = AddContainer(IdOf("e"), IdOf("b"), "main");
  registry_.Remove(*first);
  EXPECT_THAT(registry_.ContainersOf(IdOf("b")), ElementsAre(second));
  ContainerPtr another;
  EXPECT_EQ(registry_.Add(MakeContainer(IdOf("f"), IdOf("b"), "main"), &another)
                .code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(RegistryTest, ContainersOfAPodAreItsOwn) {
  AddPod(IdOf("a"), "one");
  AddPod(IdOf("b"), "two");
  const ContainerPtr c1 = AddContainer(IdOf("c1"), IdOf("a"), "x");
  const ContainerPtr c2 = AddContainer(IdOf("c2"), IdOf("a"), "y");
  const ContainerPtr c3 = AddContainer(IdOf("c3"), IdOf("b"), "x");
  EXPECT_THAT(registry_.ContainersOf(IdOf("a")), UnorderedElementsAre(c1, c2));
  EXPECT_THAT(registry_.ContainersOf(IdOf("b")), UnorderedElementsAre(c3));
  EXPECT_THAT(registry_.ContainersOf("other"), IsEmpty());
  registry_.Remove(*c1);
  EXPECT_THAT(registry_.ContainersOf(IdOf("a")), UnorderedElementsAre(c2));
}

TEST_F(RegistryTest, OfManyWhoTakeANameAtOnceOneGetsIt) {
  for (int round = 0; round < 50; ++round) {
    std::vector<std::thread> threads;
    std::vector<absl::Status> statuses(8);
    std::vector<PodPtr> others(8);
    for (size_t i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        statuses[i] = registry_.Add(
            MakePod(IdOf(std::to_string(round) + "f" + std::to_string(i)),
                    "pod" + std::to_string(round)),
            &others[i]);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    int added = 0;
    PodPtr winner;
    for (size_t i = 0; i < 8; ++i) {
      added += statuses[i].ok() ? 1 : 0;
      winner = others[i] == nullptr ? winner : others[i];
    }
    EXPECT_EQ(added, 1);
    for (const PodPtr& other : others) {
      EXPECT_TRUE(other == nullptr || other == winner);
    }
  }
  EXPECT_EQ(registry_.Pods().size(), 50u);
}

}  // namespace
}  // namespace caisson::core
