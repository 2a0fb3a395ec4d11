#include "runtime/device/hook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/json.h"
#include "runtime/device/hook_state.h"

namespace caisson::device {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class HookTest : public ::testing::Test {
 protected:
  HookTest() {
    std::string name = testing::TempDir() + "/hookXXXXXX";
    root_ = mkdtemp(name.data());
    hook_.path = root_ + "/hook";
    hook_.moment = Moment::kCreateRuntime;
  }

  ~HookTest() override {
    std::error_code error;
    std::filesystem::remove_all(root_, error);
  }

  absl::Status Run(const std::string& script,
                   absl::Duration timeout = absl::Seconds(20)) {
    std::ofstream(hook_.path) << "#!/bin/sh\n" << script << "\n";
    chmod(hook_.path.c_str(), 0755);
    HookState state;
    state.id = "c1";
    state.status = "creating";
    state.pid = 42;
    state.bundle = "/bundle";
    state.annotations["k"] = "v";
    return RunHook(hook_, ToJson(state), timeout, deadline_);
  }

  std::string Read(const std::string& name) {
    const std::ifstream file(root_ + "/" + name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::string root_;
  Hook hook_;
  Deadline deadline_ = Deadline::After(absl::Seconds(60));
};

TEST_F(HookTest, IsToldTheStateAndItsOwnArgumentsOnly) {
  hook_.arguments = {"name", "one", "two words"};
  hook_.environment = {"OWN=1"};
  setenv("SECRET_OF_THE_DAEMON", "1", 1);
  const absl::Status status = Run(absl::StrCat(
      "cat >", root_, "/state\n", "/bin/cat /proc/$$/environ >", root_,
      "/env\nprintf '%s|' \"$@\" >", root_, "/args\npwd >", root_, "/cwd"));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Read("env"), std::string("OWN=1\0", 6));
  EXPECT_EQ(Read("args"), "one|two words|");
  EXPECT_EQ(Read("cwd"), "/\n");
  const auto state = json::Parse(Read("state"), "state");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(json::Dump(*state),
            R"({"annotations":{"k":"v"},"bundle":"/bundle","id":"c1",)"
            R"("ociVersion":"1.2.0","pid":42,"status":"creating"})");
}

TEST_F(HookTest, AFailureIsNamedWithItsWords) {
  EXPECT_THAT(std::string(Run("echo no such card >&2; exit 3").message()),
              AllOf(HasSubstr("run hook createRuntime"), HasSubstr(hook_.path),
                    HasSubstr("exit status 3: no such card")));
  hook_.path = root_ + "/absent";
  EXPECT_THAT(
      std::string(RunHook(hook_, "", absl::Seconds(1), deadline_).message()),
      HasSubstr("No such file"));
}

// A hook that is confined is forked, and what confines it may refuse.
TEST_F(HookTest, AConfinedOneRunsAsTheOthers) {
  std::ofstream(hook_.path) << "#!/bin/sh\ncat >" << root_ << "/state\npwd >"
                            << root_ << "/cwd; exit 5\n";
  chmod(hook_.path.c_str(), 0755);
  const auto run = [&](const absl::Status& confined) {
    return std::string(
        RunHook(hook_, "told", absl::Seconds(20), deadline_, [&] {
          return confined;
        }).message());
  };
  hook_.environment = {"PATH=/bin"};
  EXPECT_THAT(run(absl::OkStatus()), HasSubstr("exit status 5"));
  EXPECT_EQ(Read("state"), "told");
  EXPECT_EQ(Read("cwd"), "/\n");
  EXPECT_THAT(run(absl::InternalError("no filter")),
              HasSubstr("exit status 127: no filter"));
  hook_.path = root_ + "/absent";
  EXPECT_THAT(run(absl::OkStatus()), HasSubstr("No such file"));
}

TEST_F(HookTest, ItsOwnTimeoutOrTheGivenOneEndsIt) {
  const absl::Time start = absl::Now();
  EXPECT_EQ(Run("sleep 100", absl::Milliseconds(200)).code(),
            absl::StatusCode::kDeadlineExceeded);
  hook_.timeout_seconds = 1;
  EXPECT_EQ(Run("sleep 100 & sleep 100", absl::Seconds(90)).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

TEST_F(HookTest, TheCallersDeadlineEndsItWithItsChildren) {
  deadline_ = Deadline::After(absl::Milliseconds(200));
  hook_.timeout_seconds = 300;
  const absl::Time start = absl::Now();
  EXPECT_EQ(Run("sleep 100 & sleep 100").code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

}  // namespace
}  // namespace caisson::device
