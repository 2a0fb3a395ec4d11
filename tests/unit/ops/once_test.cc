#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/support/gate.h"
#include "tests/support/ops_fixture.h"

// What happens once, whoever asks for it and however often; and keepers that
// end unasked.
namespace caisson::testing {
namespace {

class OnceTest : public OpsFixture {
 protected:
  // A device whose poststop hook writes a line each time that it runs.
  std::string DeviceWithHook() {
    const std::string directory = node_->path() + "/cdi";
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/test.json") << absl::StrCat(
        R"({"cdiVersion":"0.6.0","kind":"example.com/thing","devices":[)",
        R"({"name":"one","containerEdits":{"hooks":[{"hookName":"poststop",)",
        R"("path":"/bin/sh","args":["sh","-c","echo ran >> )", HookFile(),
        R"("]}]}}]})");
    return "example.com/thing=one";
  }

  std::string HookFile() { return node_->path() + "/hook-runs"; }

  size_t HookRuns() { return ReadFile(HookFile()).size() / 4; }

  std::string MakeHooked(const std::string& pod) {
    v1::CreateContainerRequest request = daemon_->ContainerRequest("hooked");
    request.mutable_config()->add_cdi_devices()->set_name(DeviceWithHook());
    const TestDaemon::Result made = daemon_->CreateContainer(pod, request);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.value_or("");
  }
};

TEST_F(OnceTest, ConcurrentRemovalsRunHooksAndReleaseImagesOnce) {
  const std::string pod = MakePod("pod", false);
  for (size_t round = 1; round <= 5; ++round) {
    const std::string id = MakeHooked(pod);
    EXPECT_EQ(daemon_->images.holds(), 1);
    // Also past the table of operations, as a pod's removal is.
    const core::ContainerPtr container = daemon_->Container(id);
    std::vector<std::function<void()>> tasks;
    for (int i = 0; i < 8; ++i) {
      tasks.push_back([&, i] {
        const Deadline deadline = Deadline::After(absl::Minutes(1));
        const absl::Status status =
            i % 2 == 0 ? daemon_->RemoveContainer(id)
                       : daemon_->container_ending.Remove(container, deadline);
        EXPECT_TRUE(status.ok()) << status;
      });
    }
    SideBySide(tasks);
    EXPECT_EQ(HookRuns(), round);
    EXPECT_EQ(daemon_->images.holds(), 0);
  }
  ExpectEndsClean(pod);
  ExpectNothingLeft();
}

TEST_F(OnceTest, EndsOfAllKindsAtOnceLeaveNothing) {
  for (int round = 0; round < 5; ++round) {
    const std::string pod = MakePod("pod");
    const std::string one = MakeContainer(pod, "a", ContainerRecord::RUNNING);
    const std::string two = MakeContainer(pod, "b", ContainerRecord::CREATED);
    SideBySide(
        {[&] { EXPECT_TRUE(daemon_->StopContainer(one).ok()); },
         [&] { EXPECT_TRUE(daemon_->RemoveContainer(one).ok()); },
         [&] { EXPECT_TRUE(daemon_->RemoveContainer(two).ok()); },
         [&] { EXPECT_TRUE(daemon_->StopPod(pod).ok()); },
         [&] { EXPECT_TRUE(daemon_->RemovePod(pod).ok()); },
         [&] { EXPECT_TRUE(daemon_->RemovePod(pod).ok()); },
         // May come first, or find it gone.
         [&] { daemon_->StartContainer(two).IgnoreError(); },
         [&] { daemon_->CreateContainer(pod, "c").status().IgnoreError(); }});
    ExpectNothingLeft();
  }
}

TEST_F(OnceTest, AKeeperThatDiesTakesItsPodWithIt) {
  const std::string pod = MakePod("pod");
  const std::string one = MakeContainer(pod, "a", ContainerRecord::RUNNING);
  const std::string two = MakeContainer(pod, "b", ContainerRecord::CREATED);
  SideBySide({[&] {
                // Who waits for it hears of it.
                EXPECT_FALSE(daemon_->Exec(one, {"/bin/sleep", "1000"}).ok());
              },
              [&] {
                EXPECT_TRUE(Await([&] {
                  return daemon_->fake_keepers.world().faults.calls("exec") ==
                         1;
                }));
                daemon_->Pod(pod)->keeper()->Kill();
              }});
  EXPECT_TRUE(AwaitState(one, ContainerRecord::EXITED));
  EXPECT_TRUE(AwaitState(two, ContainerRecord::EXITED));
  EXPECT_EQ(daemon_->Container(one)->facts()->record.exit_code(), 255);
  EXPECT_EQ(daemon_->Pod(pod)->state(), PodRecord::STOPPED);
  EXPECT_FALSE(daemon_->CreateContainer(pod, "c").ok());
  ExpectEndsClean(pod);
  ExpectNothingLeft();
}

TEST_F(OnceTest, AnEndThatNobodyToldIsLearnedFromTheNextDescription) {
  const std::string pod = MakePod("pod", false);
  const std::string id = MakeContainer(pod, "a", ContainerRecord::RUNNING);
  daemon_->fake_keepers.world().mute = true;
  daemon_->ExitContainer(id, 5);
  const auto keeper = daemon_->Pod(pod)->keeper();
  EXPECT_TRUE(Await([&] {
    const auto described = keeper->Describe(Deadline::After(absl::Seconds(5)));
    return described.ok() && described->pod.containers(0).state() ==
                                 keeper::v1::ContainerDescription::EXITED;
  }));
  EXPECT_EQ(daemon_->Container(id)->state(), ContainerRecord::RUNNING);
  Redescribe(*keeper);
  EXPECT_TRUE(AwaitState(id, ContainerRecord::EXITED));
  EXPECT_EQ(daemon_->Container(id)->facts()->record.exit_code(), 5);
  ExpectEndsClean(pod);
  ExpectNothingLeft();
}

TEST_F(OnceTest, ADescriptionChangesNothingOfWhatIsKnown) {
  const std::string pod = MakePod("pod", false);
  const std::string one = MakeContainer(pod, "a", ContainerRecord::RUNNING);
  const std::string two = MakeContainer(pod, "b", ContainerRecord::CREATED);
  const auto keeper = daemon_->Pod(pod)->keeper();
  for (int i = 0; i < 10; ++i) {
    Redescribe(*keeper);
  }
  const auto answer = daemon_->Exec(one, {"/bin/true"});
  EXPECT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(daemon_->Container(one)->state(), ContainerRecord::RUNNING);
  EXPECT_EQ(daemon_->Container(two)->state(), ContainerRecord::CREATED);
  EXPECT_EQ(daemon_->Pod(pod)->state(), PodRecord::READY);
  ExpectEndsClean(pod);
  ExpectNothingLeft();
}

// A creation that goes on while its container is taken away makes nothing that
// stays.
TEST_F(OnceTest, ARemovalAwaitsTheCreationThatItMeets) {
  for (const bool whole_pod : {true, false}) {
    SCOPED_TRACE(whole_pod);
    const std::string pod = MakePod("pod", false);
    Gate mounting;
    Gate go_on;
    daemon_->images.on_mount = [&] {
      mounting.Open();
      go_on.Wait();
    };
    SideBySide(
        {[&] { EXPECT_FALSE(daemon_->CreateContainer(pod, "main").ok()); },
         [&] {
           ASSERT_TRUE(mounting.WaitFor(absl::Seconds(20)));
           const std::string id = daemon_->registry.Containers()[0]->id();
           const absl::Status removed = whole_pod
                                            ? daemon_->RemovePod(pod)
                                            : daemon_->RemoveContainer(id);
           EXPECT_TRUE(removed.ok()) << removed;
         },
         [&] {
           ASSERT_TRUE(mounting.WaitFor(absl::Seconds(20)));
           // Where nobody waits for it, all of it is gone soon.
           const core::ContainerPtr container =
               daemon_->registry.Containers()[0];
           Await([&] { return container->is_removed(); }, absl::Seconds(5));
           go_on.Open();
         }});
    daemon_->images.on_mount = nullptr;
    ExpectEndsClean(pod);
    ExpectNothingLeft();
  }
}

// A description of before a creation says nothing about it.
TEST_F(OnceTest, AnOldDescriptionEndsNothingThatIsNewer) {
  const std::string pod = MakePod("pod", false);
  const core::PodPtr it = daemon_->Pod(pod);
  Gate go_on;
  it->events().Post([&] { go_on.Wait(); });
  Redescribe(*it->keeper());
  const std::string id = MakeContainer(pod, "a", ContainerRecord::RUNNING);
  go_on.Open();
  Gate heard;
  it->events().Post([&] { heard.Open(); });
  ASSERT_TRUE(heard.WaitFor(absl::Seconds(20)));
  EXPECT_EQ(daemon_->Container(id)->state(), ContainerRecord::RUNNING);
  ExpectEndsClean(pod);
  ExpectNothingLeft();
}

TEST_F(OnceTest, AStopThatMeetsTheEndOfItsKeeperSucceeds) {
  std::vector<std::function<void()>> tasks;
  std::vector<std::string> pods;
  for (int i = 0; i < 20; ++i) {
    pods.push_back(MakePod("pod" + std::to_string(i), false));
  }
  for (const std::string& pod : pods) {
    tasks.push_back([this, pod] {
      const absl::Status stopped = daemon_->StopPod(pod);
      EXPECT_TRUE(stopped.ok()) << stopped;
    });
    tasks.push_back([this, pod] {
      if (const auto keeper = daemon_->Pod(pod)->keeper(); keeper != nullptr) {
        keeper->Kill();
      }
    });
  }
  SideBySide(tasks);
  for (const std::string& pod : pods) {
    ExpectEndsClean(pod);
  }
  ExpectNothingLeft();
}

}  // namespace
}  // namespace caisson::testing
