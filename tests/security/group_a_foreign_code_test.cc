#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/security/process_facts.h"
#include "tests/security/security_fixture.h"
#include "tests/security/strace.h"
#include "tests/support/machine.h"

// Group A, code that comes with an image and waits for the runtime to run it.
namespace caisson::cri_test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kTrojan[] =
    "#!/bin/busybox sh\n/bin/busybox echo \"$0\" >>/trojan\n";

class ForeignCodeTest : public SecurityTest {
 protected:
  std::vector<int> PidsOf(const std::string& file) {
    std::vector<int> pids;
    for (absl::string_view line : absl::StrSplit(
             ::caisson::testing::ReadFile(file), '\n', absl::SkipEmpty())) {
      int pid = 0;
      EXPECT_TRUE(absl::SimpleAtoi(line, &pid)) << line;
      pids.push_back(pid);
    }
    return pids;
  }

  int Daemon() { return PidsOf(directory_ + "/caissond.pid").at(0); }

  // The fork server and all keepers.
  std::vector<int> Keepers() {
    return PidsOf(absl::StrCat(layout_.unified, "/", config_.cgroup.keepers,
                               "/cgroup.procs"));
  }

  // Busybox's own names are links to it: here they are programs that leave a
  // trace, and libraries and tables that a C library would load by itself.
  std::string TrojanImage() {
    Json members = Json::array();
    for (const char* name :
         {"nsenter", "socat",  "ps",   "tar",       "mount", "umount", "sh",
          "ip",      "mkdir",  "cp",   "newuidmap", "xz",    "unpigz", "pigz",
          "gzip",    "gunzip", "zstd", "unzstd",    "bzip2", "lzma"}) {
      for (const char* directory : {"bin/", "usr/bin/", "sbin/", "usr/sbin/"}) {
        members.push_back(
            {{"name", std::string(directory) + name}, {"data", kTrojan}});
      }
    }
    for (const char* name :
         {"lib/libnss_files.so.2", "lib/libnss_compat.so.2",
          "lib/x86_64-linux-gnu/libnss_files.so.2",
          "lib/x86_64-linux-gnu/libnss_dns.so.2",
          "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
          "usr/lib/locale/locale-archive", "etc/nsswitch.conf",
          "etc/ld.so.preload", "etc/ld.so.cache", "lib64/libc.so.6"}) {
      members.push_back({{"name", name}, {"data", "trojan"}});
    }
    return Image(
        members,
        {{"Env", {"LD_PRELOAD=/lib64/libc.so.6", "LD_LIBRARY_PATH=/lib64"}}});
  }

  template <typename Request, typename Response>
  void Do(grpc::Status (cri::RuntimeService::Stub::*method)(
              grpc::ClientContext*, const Request&, Response*),
          const Request& request) {
    Response response;
    const grpc::Status status = Call(method, request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }

  // A container's life, with everything that may be asked of it meanwhile.
  void LiveThrough(const std::string& pod, const std::string& image) {
    using Stub = cri::RuntimeService::Stub;
    const std::string id = Start(pod, [&](cri::ContainerConfig& config) {
      config.mutable_image()->set_image(image);
    });
    EXPECT_TRUE(Exec(id, {"/caisson-probe", "exit", "0"}).ok());
    cri::ContainerStatsRequest stats;
    stats.set_container_id(id);
    Do(&Stub::ContainerStats, stats);
    cri::ContainerStatusRequest status;
    status.set_container_id(id);
    Do(&Stub::ContainerStatus, status);
    cri::ReopenContainerLogRequest reopen;
    reopen.set_container_id(id);
    Do(&Stub::ReopenContainerLog, reopen);
    cri::UpdateContainerResourcesRequest update;
    update.set_container_id(id);
    update.mutable_linux()->set_cpu_shares(512);
    Do(&Stub::UpdateContainerResources, update);
    EXPECT_EQ(Read(id, "/trojan"), "<ENOENT>");
    cri::StopContainerRequest stop;
    stop.set_container_id(id);
    Do(&Stub::StopContainer, stop);
    cri::RemoveContainerRequest remove;
    remove.set_container_id(id);
    Do(&Stub::RemoveContainer, remove);
  }
};

CAISSON_BOTH_MODES(ForeignCodeTest);

// CVE-2019-14271.
TEST_P(ForeignCodeTest, A10NothingOfTheImageIsLoaded) {
  const std::string image = TrojanImage();
  const std::string pod = ModePod();
  Strace trace(Keepers(), "open,openat,openat2,execve,execveat",
               directory_ + "/strace");
  LiveThrough(pod, image);
  const std::vector<std::string> lines = trace.End();
  // It saw the stages at work.
  EXPECT_THAT(lines, Contains(HasSubstr("self/oom_score_adj")));
  EXPECT_THAT(lines, Contains(HasSubstr("execve(\"/caisson-probe\"")));
  for (const std::string& line : lines) {
    for (const char* part : {".so", "locale", "gconv", "nsswitch", "/etc/ld",
                             "/etc/passwd", "/etc/group"}) {
      EXPECT_FALSE(absl::StrContains(line, part)) << line;
    }
  }
}

// CVE-2022-1227.
TEST_P(ForeignCodeTest, A11OnlyWhatIsAskedForIsRun) {
  const std::string image = TrojanImage();
  const std::string pod = ModePod();
  std::vector<int> all = Keepers();
  all.push_back(Daemon());
  Strace trace(all, "execve,execveat", directory_ + "/strace");
  LiveThrough(pod, image);
  int programs = 0;
  for (const std::string& line : trace.End()) {
    if (absl::StrContains(line, "execve")) {
      EXPECT_THAT(line, HasSubstr("execve(\"/caisson-probe\""));
      ++programs;
    }
  }
  // The container's own, the exec, and the test's look at /trojan.
  EXPECT_EQ(programs, 3);
  // Who runs one of them is found out.
  const std::string id = Start(pod, [&](cri::ContainerConfig& config) {
    config.mutable_image()->set_image(image);
  });
  EXPECT_TRUE(Exec(id, {"nsenter"}).ok());
  EXPECT_THAT(Read(id, "/trojan"), HasSubstr("nsenter"));
}

// CVE-2026-41567: all layers' bytes are unpacked by the puller itself.
TEST_P(ForeignCodeTest, A12APullRunsNoOtherProgram) {
  std::vector<int> all = Keepers();
  all.push_back(Daemon());
  Strace trace(all, "execve,execveat", directory_ + "/strace");
  TrojanImage();
  int programs = 0;
  for (const std::string& line : trace.End()) {
    if (absl::StrContains(line, "execve")) {
      EXPECT_THAT(line, HasSubstr("/bin/caisson-puller\""));
      ++programs;
    }
  }
  EXPECT_EQ(programs, 1);
}

}  // namespace
}  // namespace caisson::cri_test
