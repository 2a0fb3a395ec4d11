#include <gmock/gmock.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "tests/security/group_c_fixture.h"

// Rows C6 to C10: who the process is.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UserEscapeTest : public GroupCTest {
 protected:
  // As the host's kernel sees the init.
  int UidOf(const std::string& container) {
    const Json report = Report(container);
    EXPECT_EQ(report["uid"], report["euid"]);
    EXPECT_EQ(report["uid"], report["suid"]);
    return report["uid"];
  }

  cri::Image StatusOf(const std::string& image) {
    cri::ImageStatusRequest request;
    request.mutable_image()->set_image(image);
    cri::ImageStatusResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(images_->ImageStatus(&context, request, &response).ok());
    return response.image();
  }

  // An image whose passwd and group have these lines first.
  std::string ImageOf(const std::string& user, const std::string& passwd,
                      const std::string& group = "") {
    const std::string root = "root:x:0:0:root:/root:/bin/sh\n";
    return Image({{{"name", "etc/passwd"},
                   {"data", absl::StrCat(passwd, root)},
                   {"mode", "0644"}},
                  {{"name", "etc/group"},
                   {"data", absl::StrCat(group, "root:x:0:\n")},
                   {"mode", "0644"}}},
                 {{"Entrypoint", {"/caisson-probe"}}, {"User", user}});
  }

  // Another daemon in the place of the one that runs.
  void RestartDaemon() {
    const std::string pid_file = directory_ + "/caissond.pid";
    int pid = 0;
    std::ifstream(pid_file) >> pid;
    const UniqueFd daemon(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    ASSERT_TRUE(daemon.ok()) << pid;
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    pollfd ended = {daemon.get(), POLLIN, 0};
    ASSERT_EQ(poll(&ended, 1, 20000), 1);
    ASSERT_EQ(system(absl::StrCat(CAISSON_BIN_DIR "/caissond --config ",
                                  directory_, "/config.toml >>", directory_,
                                  "/caissond.log 2>&1 & echo $! >", pid_file)
                         .c_str()),
              0);
    // The first finds the old connection broken, the next waits for another.
    bool answers = false;
    for (int i = 0; i < 20 && !answers; ++i) {
      cri::VersionResponse version;
      grpc::ClientContext context;
      context.set_wait_for_ready(true);
      answers = runtime_->Version(&context, {}, &version).ok();
    }
    EXPECT_TRUE(answers);
  }

  std::string StartImage(const std::string& image,
                         const EditContainer& edit = nullptr) {
    const grpc::Status status = TryImage(image, edit);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return status.ok() ? status.error_message() : "";
  }
};

CAISSON_BOTH_MODES(UserEscapeTest);

struct GroupRow {
  const char* name;
  int user;
  int group;  // -1: not given
  std::vector<int> more;
  bool strict;
  std::vector<int> expected;
};

// The image's group 50000 has default-user, who is 1000 with group 1000.
const GroupRow kGroups[] = {
    {"root", 0, -1, {}, false, {0}},
    {"root and more", 0, -1, {1234, 1}, false, {0, 1, 1234}},
    {"a group of its own", 0, 7, {}, false, {7}},
    {"merged", 1000, -1, {}, false, {1000, 50000}},
    {"merged and more", 1000, 8, {4321}, false, {8, 4321, 50000}},
    {"strict", 1000, -1, {4321}, true, {1000, 4321}},
    {"strict alone", 1000, 8, {}, true, {8}},
    {"nobody the image knows", 4242, -1, {5}, false, {0, 5}},
};

// CVE-2022-2995 and its kin.
TEST_P(UserEscapeTest, C6ThePrimaryGroupIsAmongTheGroups) {
  const std::string pod = ModePod();
  for (const GroupRow& row : kGroups) {
    const std::string container = Start(pod, [&](auto& it) {
      Security(it).mutable_run_as_user()->set_value(row.user);
      if (row.group >= 0) {
        Security(it).mutable_run_as_group()->set_value(row.group);
      }
      for (const int group : row.more) {
        Security(it).add_supplemental_groups(group);
      }
      if (row.strict) {
        Security(it).set_supplemental_groups_policy(
            cri::SupplementalGroupsPolicy::Strict);
      }
    });
    const Json report = Report(container);
    const std::set<int> groups = report["groups"];
    EXPECT_EQ(groups, std::set<int>(row.expected.begin(), row.expected.end()))
        << row.name;
    EXPECT_TRUE(groups.contains(report["gid"])) << row.name;
  }
}

// What forbids a file to a group holds for who has it as primary group, even
// after a program that changes the effective one.
TEST_P(UserEscapeTest, C6AGroupThatIsShutOutStaysOut) {
  const std::string image =
      Image({{{"name", "shut"}, {"data", "x"}, {"mode", "0707"}, {"gid", 3000}},
             {{"name", "as-group"},
              {"file", CAISSON_BIN_DIR "/caisson-probe"},
              {"mode", "2755"},
              {"gid", 3001}}},
            {{"Entrypoint", {"/caisson-probe"}}});
  const auto as = [&](int group) {
    return StartImage(image, [=](auto& it) {
      Security(it).mutable_run_as_user()->set_value(2000);
      Security(it).mutable_run_as_group()->set_value(group);
    });
  };
  const std::string member = as(3000);
  EXPECT_EQ(Try(member, {"open", "/shut", "r"}), "EACCES");
  const Json changed = ReportOf(member, "/as-group");
  EXPECT_EQ(changed["egid"], 3001);
  const std::set<int> groups = changed["groups"];
  EXPECT_TRUE(groups.contains(3000));
  EXPECT_THAT(Sh(member, "/as-group open /shut r").text, HasSubstr("EACCES"));
  // For others it is open.
  EXPECT_EQ(Try(as(3002), {"open", "/shut", "r"}), "OK");
}

// CVE-2024-40635, CVE-2026-46680: what is a number is no name.
TEST_P(UserEscapeTest, C7AndC8NumbersOutOfRangeAreRefused) {
  std::string passwd;
  std::string group;
  const std::vector<std::string> numbers = {
      "2147483648",         "4294967295", "4294967296", "4294967297",
      std::string(36, '9'), "-1000",      "+0",         "-0"};
  for (const std::string& number : numbers) {
    absl::StrAppend(&passwd, number, ":x:0:0::/:/bin/sh\n");
    absl::StrAppend(&group, number, ":x:0:\n");
  }
  std::vector<std::string> users = numbers;
  users.push_back("4294967296:0");
  users.push_back("0:4294967296");
  users.push_back("1000:-1");
  users.push_back(":0");
  users.push_back("1:2:3");
  // An image each is slow, and in this mode nothing else decides.
  if (!OwnUsers()) {
    users = {"4294967296", "-1000", "0:4294967296"};
  }
  for (const std::string& user : users) {
    const std::string image = ImageOf(user, passwd, group);
    const grpc::Status status = TryImage(image);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << user;
    EXPECT_THAT(status.error_message(), HasSubstr("check user: ")) << user;
    // Nothing that the kubelet could take for somebody else than root.
    const cri::Image told = StatusOf(image);
    if (numbers.end() != std::find(numbers.begin(), numbers.end(), user)) {
      EXPECT_FALSE(told.has_uid()) << user;
      EXPECT_EQ(told.username(), user);
    }
  }
}

TEST_P(UserEscapeTest, C7TheLargestIdIsAnIdOrOutsideThePod) {
  const grpc::Status status = TryImage(ImageOf("2147483647", ""));
  if (OwnUsers()) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("id 2147483647"));
    return;
  }
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(UidOf(status.error_message()), 2147483647);
}

TEST_P(UserEscapeTest, C7RequestsAreBoundedAlike) {
  const std::string pod = ModePod();
  for (const int64_t id :
       {int64_t{-1}, int64_t{1} << 31, int64_t{1} << 32, (int64_t{1} << 32) + 1,
        std::numeric_limits<int64_t>::min(),
        std::numeric_limits<int64_t>::max()}) {
    ExpectRefused(
        pod,
        [=](auto& it) { Security(it).mutable_run_as_user()->set_value(id); },
        grpc::StatusCode::INVALID_ARGUMENT, "run_as_user");
    ExpectRefused(
        pod,
        [=](auto& it) {
          Security(it).mutable_run_as_user()->set_value(1);
          Security(it).mutable_run_as_group()->set_value(id);
        },
        grpc::StatusCode::INVALID_ARGUMENT, "run_as_group");
    ExpectRefused(
        pod, [=](auto& it) { Security(it).add_supplemental_groups(id); },
        grpc::StatusCode::INVALID_ARGUMENT, "supplemental_groups");
  }
}

// CVE-2016-3697.
TEST_P(UserEscapeTest, C9NumbersAreNotLookedUpAsNames) {
  const std::string passwd = "1000:x:0:0::/:/bin/sh\n";
  const std::string group = "1000:x:0:\n77:x:0:1000\n";
  for (const std::string& user :
       {std::string("1000"), std::string("1000:1000"), std::string("01000")}) {
    const std::string image = ImageOf(user, passwd, group);
    const std::string container = StartImage(image);
    ASSERT_NE(container, "") << user;
    const Json report = Report(container);
    EXPECT_EQ(report["uid"], 1000) << user;
    EXPECT_EQ(report["gid"], user == "1000:1000" ? 1000 : 0) << user;
    EXPECT_EQ(StatusOf(image).uid().value(), 1000) << user;
  }
  const std::string image = ImageOf("0", passwd, group);
  const Json report = Report(StartImage(image, [](auto& it) {
    Security(it).mutable_run_as_user()->set_value(1000);
    Security(it).mutable_run_as_group()->set_value(1000);
  }));
  EXPECT_EQ(report["uid"], 1000);
  EXPECT_EQ(report["gid"], 1000);
  const Json named = Report(StartImage(
      image, [](auto& it) { Security(it).set_run_as_username("1000"); }));
  EXPECT_EQ(named["uid"], 1000);
}

// CVE-2019-11245.
TEST_P(UserEscapeTest, C10TheUserOfTheImageIsNotForgotten) {
  const std::string passwd = "app:x:1234:1234::/:/bin/sh\n";
  const std::string image = ImageOf("app", passwd);
  const std::string pod = ModePod();
  for (int i = 0; i < 3; ++i) {
    const std::string container =
        Start(pod, [&](auto& it) { it.mutable_image()->set_image(image); });
    EXPECT_EQ(UidOf(container), 1234) << i;
    cri::RemoveContainerRequest remove;
    remove.set_container_id(container);
    cri::RemoveContainerResponse removed;
    EXPECT_TRUE(
        Call(&cri::RuntimeService::Stub::RemoveContainer, remove, removed)
            .ok());
    cri::PullImageRequest pull;
    pull.mutable_image()->set_image(image);
    cri::PullImageResponse pulled;
    grpc::ClientContext context;
    EXPECT_TRUE(images_->PullImage(&context, pull, &pulled).ok());
  }
  cri::RemoveImageRequest remove;
  remove.mutable_image()->set_image(image);
  cri::RemoveImageResponse removed;
  grpc::ClientContext context;
  EXPECT_TRUE(images_->RemoveImage(&context, remove, &removed).ok());
  cri::PullImageRequest pull;
  pull.mutable_image()->set_image(image);
  cri::PullImageResponse pulled;
  grpc::ClientContext again;
  EXPECT_TRUE(images_->PullImage(&again, pull, &pulled).ok());
  EXPECT_EQ(UidOf(Start(
                pod, [&](auto& it) { it.mutable_image()->set_image(image); })),
            1234);
}

TEST_P(UserEscapeTest, C10TheUserOfTheImageOutlivesTheDaemon) {
  const std::string image = ImageOf("app", "app:x:1234:1234::/:/bin/sh\n");
  const std::string pod = ModePod();
  const auto with = [&](cri::ContainerConfig& it) {
    it.mutable_image()->set_image(image);
  };
  EXPECT_EQ(UidOf(Start(pod, with)), 1234);
  RestartDaemon();
  EXPECT_EQ(UidOf(Start(pod, with)), 1234);
}

}  // namespace
}  // namespace caisson::cri_test
