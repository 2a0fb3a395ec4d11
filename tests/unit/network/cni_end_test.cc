#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "tests/unit/network/cni_fixture.h"

namespace caisson::network {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

// How attachments end: in time, after a reboot, without a record or a cache.
class CniEndTest : public PluginScripts {
 protected:
  void ConfigureOne() {
    Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "one"})");
  }

  // A plugin whose ADD runs `add` and whose DEL runs `del`.
  void Plugins(const std::string& add, const std::string& del) {
    Plugin("one", absl::StrCat("if [ $CNI_COMMAND = DEL ]; then ", del,
                               "\nexit 0; fi\n", add));
  }

  // Waits until a plugin has written a pid, with its newline, to `name`.
  int WaitForPid(const std::string& name) {
    const Deadline deadline = Deadline::After(absl::Seconds(20));
    std::string line;
    int pid = 0;
    while (!deadline.passed() && !absl::SimpleAtoi(line, &pid)) {
      std::ifstream in(root_ + "/" + name);
      const std::string text((std::istreambuf_iterator<char>(in)), {});
      line = absl::StrContains(text, "\n") ? text : "";
      std::this_thread::yield();
    }
    return pid;
  }

  // Whether the process runs; a zombie doesn't.
  static bool Runs(int pid) {
    std::ifstream in(absl::StrCat("/proc/", pid, "/stat"));
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    return !text.empty() && !absl::StrContains(text, ") Z ");
  }
};

TEST_F(CniEndTest, TheCallersDeadlineEndsAddAndLeavesTimeToUndoIt) {
  ConfigureOne();
  Plugins("sleep 300",
          absl::StrCat("sleep 0.5; echo undone >>", root_, "/calls"));
  const auto cni = Cni::Create(options_);
  const auto start = Clock::now();
  const absl::Status status =
      cni->Add(pod_, Deadline::After(absl::Milliseconds(200))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("plugin one: ADD"));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
  EXPECT_THAT(Calls(), EndsWith("undone\n"));
  EXPECT_FALSE(HasCache());
}

TEST_F(CniEndTest, TheDeadlineReachesWhatLeftTheProcessGroup) {
  ConfigureOne();
  Plugins(absl::StrCat("setsid sh -c 'echo $$ >", root_,
                       "/pid; exec sleep 300' &\nsleep 300"),
          "true");
  absl::StatusOr<Addresses> added = Addresses();
  std::thread thread([&] {
    added = Cni::Create(options_)->Add(pod_, Deadline::After(absl::Seconds(1)));
  });
  const int pid = WaitForPid("pid");
  thread.join();
  EXPECT_EQ(added.status().code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_GT(pid, 0);
  EXPECT_FALSE(Runs(pid));
}

TEST_F(CniEndTest, TheCallersDeadlineEndsDelete) {
  ConfigureTwo();
  Plugin("one", kResult);
  Plugin("two", absl::StrCat("[ $CNI_COMMAND = DEL ] && sleep 300\n", kResult));
  const auto cni = Cni::Create(options_);
  ASSERT_TRUE(cni->Add(pod_, deadline_).ok());
  EXPECT_EQ(cni->Delete(pod_, Deadline::After(absl::Milliseconds(200))).code(),
            absl::StatusCode::kDeadlineExceeded);
  // No time is left for the other one.
  EXPECT_THAT(Calls(), EndsWith("two DEL 1\n"));
  EXPECT_TRUE(HasCache());
}

TEST_F(CniEndTest, AfterAFailedAddWhoseUndoingFailedDeleteCanBeRepeated) {
  ConfigureOne();
  Plugins("exit 1", absl::StrCat("[ -e ", root_, "/mended ] || exit 1"));
  const auto cni = Cni::Create(options_);
  const absl::Status status = cni->Add(pod_, deadline_).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("and undoing it"));
  EXPECT_TRUE(HasCache());
  EXPECT_THAT(*cni->CachedPods(), ElementsAre("pod1"));
  EXPECT_FALSE(cni->Delete(pod_, deadline_).ok());
  EXPECT_TRUE(HasCache());
  std::ofstream(root_ + "/mended") << "1";
  EXPECT_TRUE(cni->Delete(pod_, deadline_).ok());
  EXPECT_FALSE(HasCache());
  EXPECT_THAT(*cni->CachedPods(), IsEmpty());
}

TEST_F(CniEndTest, ANamespaceThatIsGoneIsNamedEmpty) {
  ConfigureOne();
  Plugins(kResult, absl::StrCat("echo \"[$CNI_NETNS]\" >>", root_, "/calls"));
  const auto cni = Cni::Create(options_);
  ASSERT_TRUE(cni->Add(pod_, deadline_).ok());
  // As after a reboot: the file of the pin, or not even that.
  pod_.netns_path = root_ + "/conf";
  EXPECT_TRUE(cni->Delete(pod_, deadline_).ok());
  EXPECT_THAT(Calls(), EndsWith("one DEL 1\n[]\n"));
  ASSERT_TRUE(cni->Add(pod_, deadline_).ok());
  pod_.netns_path = root_ + "/absent";
  EXPECT_TRUE(cni->Delete(pod_, deadline_).ok());
  EXPECT_THAT(Calls(), EndsWith("one DEL 1\n[]\n"));
}

TEST_F(CniEndTest, TheCacheKnowsWhatAddWasCalledWith) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "one",
                "capabilities": {"portMappings": true}})");
  Plugin("one", absl::StrCat("echo \"$CNI_ARGS $input\" >", root_, "/told\n",
                             kResult));
  pod_.pod_namespace = "space";
  pod_.pod_uid = "u-1";
  pod_.ports = {{8080, 80, "TCP", "127.0.0.1"}};
  pod_.annotations = {{"a", "b"}};
  ASSERT_TRUE(Cni::Create(options_)->Add(pod_, deadline_).ok());
  const auto cni = Cni::Create(options_);
  EXPECT_THAT(*cni->CachedPods(), ElementsAre("pod1"));
  const absl::StatusOr<Attachment> kept = cni->CachedAttachment("pod1");
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->netns_path, pod_.netns_path);
  EXPECT_EQ(kept->annotations, pod_.annotations);
  EXPECT_TRUE(cni->Delete(*kept, deadline_).ok());
  std::ifstream in(root_ + "/told");
  const std::string told((std::istreambuf_iterator<char>(in)), {});
  for (const char* word :
       {"K8S_POD_NAMESPACE=space;K8S_POD_NAME=web", "K8S_POD_UID=u-1",
        R"("hostPort":8080)", R"("hostIP":"127.0.0.1")"}) {
    EXPECT_THAT(told, HasSubstr(word));
  }
  EXPECT_TRUE(absl::IsNotFound(cni->CachedAttachment("pod1").status()));
  EXPECT_FALSE(cni->CachedAttachment("../conf/10-test").ok());
}

// A power cut may leave an empty file, or a part of it.
TEST_F(CniEndTest, AnAttachmentWithATornCacheIsDeletedAllTheSame) {
  ConfigureOne();
  Plugins(kResult, absl::StrCat("[ -e ", root_, "/mended ] || exit 1"));
  const auto cni = Cni::Create(options_);
  for (const char* text : {"", "{\"attachment\"", "[]", "{\"attachment\":7}"}) {
    std::filesystem::remove(root_ + "/mended");
    ASSERT_TRUE(cni->Add(pod_, deadline_).ok());
    std::ofstream(Cache(), std::ios::trunc) << text;
    // Without a record.
    const absl::StatusOr<Attachment> rest = cni->CachedAttachment("pod1");
    ASSERT_TRUE(rest.ok()) << rest.status();
    EXPECT_FALSE(cni->Delete(*rest, deadline_).ok());
    // A DEL that failed is not forgotten.
    EXPECT_THAT(*cni->CachedPods(), ElementsAre("pod1"));
    std::ofstream(root_ + "/mended") << "1";
    EXPECT_TRUE(cni->Delete(*rest, deadline_).ok());
    EXPECT_THAT(Calls(), EndsWith("one DEL 0\none DEL 0\n"));
    EXPECT_THAT(*cni->CachedPods(), IsEmpty());
  }
}

TEST_F(CniEndTest, ALostCacheIsNoReasonNotToDelete) {
  ConfigureOne();
  Plugins(kResult, "true");
  const auto cni = Cni::Create(options_);
  ASSERT_TRUE(cni->Add(pod_, deadline_).ok());
  std::filesystem::remove_all(options_.cache_dir);
  pod_.netns_path.clear();
  EXPECT_TRUE(cni->Delete(pod_, deadline_).ok());
  EXPECT_THAT(Calls(), EndsWith("one DEL 0\n"));
}

// Whoever began an ADD may be killed; a plugin goes on.
TEST_F(CniEndTest, DeleteEndsAnAddThatNobodyWaitsForFirst) {
  ConfigureOne();
  Plugins(absl::StrCat("(echo $$ >", root_, "/pid; exec sleep 300)\n", "echo ",
                       "late >>", root_, "/calls\n", kResult),
          "true");
  const pid_t daemon = fork();
  if (daemon == 0) {
    (void)Cni::Create(options_)->Add(pod_, deadline_);
    _exit(0);
  }
  const int plugin = WaitForPid("pid");
  kill(daemon, SIGKILL);
  waitpid(daemon, nullptr, 0);
  ASSERT_GT(plugin, 0);
  EXPECT_TRUE(Runs(plugin));
  const absl::Status status = Cni::Create(options_)->Delete(pod_, deadline_);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(Runs(plugin));
  EXPECT_THAT(Calls(), Not(HasSubstr("late")));
  EXPECT_THAT(Calls(), EndsWith("one DEL 0\n"));
}

}  // namespace
}  // namespace caisson::network
