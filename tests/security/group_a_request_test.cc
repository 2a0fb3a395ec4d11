#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/security/process_facts.h"
#include "tests/security/rows.h"
#include "tests/security/security_fixture.h"
#include "tests/support/machine.h"

// Group A, what a request or an image says: terminals, sizes, users.
namespace caisson::cri_test {
namespace {

using ::testing::AnyOf;

constexpr int kNoDevice = 0;

class RequestTest : public SecurityTest {
 protected:
  // Number of the controlling terminal of a process, 0 for none.
  int TerminalOf(int pid) {
    const std::string text = ::caisson::testing::ShellOutput(
        absl::StrCat("sed 's/.*) //' /proc/", pid, "/stat | cut -d' ' -f5"));
    int device = -1;
    EXPECT_TRUE(absl::SimpleAtoi(text, &device)) << text;
    return device;
  }

  // In the pod's namespaces and its own, none of the host's.
  void ExpectOwnNamespaces(const Json& report) {
    for (const char* name : {"mnt", "pid", "net", "ipc", "uts", "cgroup"}) {
      EXPECT_NE(report["namespaces"][name], HostNamespace(name)) << name;
    }
    EXPECT_EQ(report["namespaces"]["user"] != HostNamespace("user"),
              OwnUsers());
  }

  void ExpectAsAsked(const std::string& container,
                     const std::string& variable) {
    const Json report = Report(container);
    const std::vector<std::string> environment = report["environment"];
    EXPECT_EQ(std::count(environment.begin(), environment.end(), variable), 1);
    ExpectOwnNamespaces(report);
  }

  // `uid` of the container that was created, and nothing more; -1: refused.
  void ExpectUser(const grpc::Status& created, int uid) {
    if (uid < 0) {
      EXPECT_EQ(created.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
          << created.error_message();
      return;
    }
    ASSERT_TRUE(created.ok()) << created.error_message();
    const int pid = PidOf(created.error_message());
    const Json report = Report(created.error_message());
    for (const char* name : {"uid", "euid", "suid"}) {
      EXPECT_EQ(report[name], uid) << name;
    }
    EXPECT_EQ(IntOf(StatusOf(pid, "Uid")) == 0, uid == 0 && !OwnUsers());
  }

  int SessionOf(int pid) { return IntOf(StatusOf(pid, "NSsid")); }

  int IntOf(const std::string& text) {
    int number = -1;
    // The first is the host's.
    EXPECT_TRUE(absl::SimpleAtoi(text.substr(0, text.find('\t')), &number))
        << text;
    return number;
  }
};

CAISSON_BOTH_MODES(RequestTest);

// CVE-2016-10124, CVE-2017-5226.
TEST_P(RequestTest, A14TheOnlyTerminalIsTheContainersOwn) {
  const std::string pod = ModePod();
  const std::string id = Start(pod, [](cri::ContainerConfig& config) {
    config.set_tty(true);
    config.set_stdin(true);
    config.set_log_path("terminal.log");
    config.clear_command();
    for (const char* word :
         {"/bin/busybox", "sh", "-c",
          "/caisson-probe terminal; exec /caisson-probe sleep"}) {
      config.add_command(word);
    }
  });
  const int pid = PidOf(id);
  const int keeper = IntOf(StatusOf(pid, "PPid"));
  EXPECT_EQ(SessionOf(pid), pid);
  EXPECT_NE(SessionOf(keeper), SessionOf(pid));
  EXPECT_EQ(TerminalOf(keeper), kNoDevice);
  // Of a devpts that the host's terminals are not in.
  struct stat terminal = {};
  struct stat host = {};
  ASSERT_EQ(stat(absl::StrCat("/proc/", pid, "/fd/0").c_str(), &terminal), 0);
  ASSERT_EQ(stat("/dev/pts", &host), 0);
  EXPECT_NE(terminal.st_dev, host.st_dev);
  AwaitLog("terminal.log");
  const Json said = StopAndReadJson(id, "terminal.log");
  EXPECT_EQ(said["terminal_session"], 1);
  ASSERT_EQ(said["attempts"].size(), 9u);
  for (const Json& attempt : said["attempts"]) {
    // Its own terminal it may push to; the console of the host never.
    const std::string call = attempt["call"];
    if (absl::StartsWith(call, "TIOCLINUX")) {
      EXPECT_NE(attempt["errno"], "OK") << attempt;
    }
  }
}

TEST_P(RequestTest, A14WithoutOneThereIsNone) {
  const std::string id = Start(ModePod());
  EXPECT_EQ(TerminalOf(PidOf(id)), kNoDevice);
  const Json said = Probe(id, {"terminal"});
  ASSERT_EQ(said["attempts"].size(), 7u);
  for (const Json& attempt : said["attempts"]) {
    EXPECT_THAT(std::string(attempt["errno"]), AnyOf("ENOTTY", "ENXIO"))
        << attempt;
  }
}

// CVE-2021-43784: lengths that overflow, in all that becomes a plan.
TEST_P(RequestTest, A15SizesAreKeptOrRefused) {
  const std::string pod = ModePod();
  for (const size_t size : {65534u, 65535u, 65536u, 70000u, 1048576u}) {
    SCOPED_TRACE(size);
    const std::string value(size, 'v');
    const grpc::Status created =
        TryCreate(pod, [&](cri::ContainerConfig& config) {
          cri::KeyValue& variable = *config.add_envs();
          variable.set_key("LONG");
          variable.set_value(value);
          (*config.mutable_annotations())["long"] = value;
        });
    if (!created.ok()) {
      // The kernel takes no string of an environment beyond 128 KiB.
      EXPECT_GT(size, 131072u) << created.error_message();
      continue;
    }
    ExpectAsAsked(created.error_message(), "LONG=" + value);
  }
}

TEST_P(RequestTest, A15ManyMountsAreKept) {
  const std::string pod = ModePod();
  const Canary canary;
  const std::string id = Start(pod, [&](cri::ContainerConfig& config) {
    for (int i = 0; i < 600; ++i) {
      cri::Mount& mount = *config.add_mounts();
      mount.set_host_path(canary.path());
      mount.set_container_path(absl::StrCat("/m/", std::string(120, 'x'), i));
      mount.set_readonly(true);
    }
  });
  const Json report = Report(id);
  int mounts = 0;
  for (const Json& mount : report["mounts"]) {
    if (absl::StartsWith(std::string(mount["mountpoint"]), "/m/")) {
      ++mounts;
    }
  }
  EXPECT_EQ(mounts, 600);
  ExpectOwnNamespaces(report);
}

TEST_P(RequestTest, A15ALongMapIsRefused) {
  cri::RunPodSandboxRequest request = GoodPod("long-map");
  cri::NamespaceOption& options = *request.mutable_config()
                                       ->mutable_linux()
                                       ->mutable_security_context()
                                       ->mutable_namespace_options();
  options.set_network(cri::POD);
  options.mutable_userns_options()->set_mode(cri::POD);
  for (int i = 0; i < 5000; ++i) {
    for (auto* map : {options.mutable_userns_options()->add_uids(),
                      options.mutable_userns_options()->add_gids()}) {
      map->set_host_id(static_cast<uint32_t>(1000000 + i));
      map->set_container_id(static_cast<uint32_t>(i));
      map->set_length(1);
    }
  }
  const grpc::Status status = RunPod(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
      << status.error_message();
}

struct UserRow {
  const char* text;
  int uid;  // -1: refused
};

// CVE-2026-30892.
constexpr UserRow kUsers[] = {
    {"1", 1},      {"1:1", 1},         {"01", 1},          {"1:", 1},
    {":1", -1},    {"+1", -1},         {" 1", -1},         {"1 ", -1},
    {"0x1", -1},   {"4294967295", -1}, {"4294967296", -1}, {"-1", -1},
    {"", 0},       {"1:2:3", -1},      {"1.0", -1},        {"1e0", -1},
    {"root ", -1}, {"2147483648", -1},
};

TEST_P(RequestTest, A16TheUserOfAnImageIsReadExactly) {
  const std::string pod = ModePod();
  for (const UserRow& row : kUsers) {
    SCOPED_TRACE(absl::StrCat("\"", row.text, "\""));
    const std::string image =
        Image(Json::array({{{"name", "x"}}}), {{"User", row.text}});
    ExpectUser(TryCreate(pod,
                         [&](cri::ContainerConfig& config) {
                           config.mutable_image()->set_image(image);
                         }),
               row.uid);
  }
}

TEST_P(RequestTest, A16TheUserOfARequestIsReadExactly) {
  const std::string pod = ModePod();
  for (const UserRow& row : kUsers) {
    SCOPED_TRACE(absl::StrCat("\"", row.text, "\""));
    // A username has no group in it.
    const bool with_group = absl::StrContains(row.text, ":");
    ExpectUser(TryCreate(pod,
                         [&](cri::ContainerConfig& config) {
                           config.mutable_linux()
                               ->mutable_security_context()
                               ->set_run_as_username(row.text);
                         }),
               with_group ? -1 : row.uid);
  }
  for (const int64_t uid :
       {int64_t{-1}, int64_t{2147483648}, int64_t{4294967295},
        int64_t{4294967296}, int64_t{4294967297}}) {
    SCOPED_TRACE(uid);
    ExpectUser(TryCreate(pod,
                         [&](cri::ContainerConfig& config) {
                           config.mutable_linux()
                               ->mutable_security_context()
                               ->mutable_run_as_user()
                               ->set_value(uid);
                         }),
               -1);
  }
}

}  // namespace
}  // namespace caisson::cri_test
