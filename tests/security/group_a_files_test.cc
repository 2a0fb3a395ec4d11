#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/security/process_facts.h"
#include "tests/security/security_fixture.h"

// Group A, ways out by file descriptors and working directories.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;

constexpr int kFirstFd = 3;
constexpr int kLastFd = 64;

class LeakedFileTest : public SecurityTest {
 protected:
  grpc::Status TryWorkingDirectory(const std::string& pod,
                                   const std::string& path) {
    return TryCreate(pod, [&](cri::ContainerConfig& config) {
      config.set_working_dir(path);
    });
  }

  void ExpectNoWorkingDirectory(const grpc::Status& status) {
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.error_message(), HasSubstr("enter-working-directory"));
  }

  // What stands at `path` in the container, for the host.
  std::string InRoot(const std::string& container, const std::string& path) {
    return absl::StrCat("/proc/", PidOf(container), "/root", path);
  }

  // A container that watches every process of the runtime that joins it.
  std::string StartSpy(const std::string& pod, const EditContainer& edit) {
    struct stat root = {};
    EXPECT_EQ(stat("/", &root), 0);
    return Start(pod, [&](cri::ContainerConfig& config) {
      config.set_log_path("spy.log");
      config.clear_command();
      config.add_command("/caisson-probe");
      config.add_command("spy");
      config.add_command(absl::StrCat(root.st_dev));
      config.add_command(absl::StrCat(root.st_ino));
      edit(config);
    });
  }
};

CAISSON_BOTH_MODES(LeakedFileTest);

// CVE-2024-21626, attack 1.
TEST_P(LeakedFileTest, A3NoWorkingDirectoryIsAnOpenFile) {
  const std::string pod = ModePod();
  for (int fd = kFirstFd; fd <= kLastFd; ++fd) {
    for (const std::string& path :
         {absl::StrCat("/proc/self/fd/", fd),
          absl::StrCat("/proc/self/fd/", fd, "/../../..")}) {
      SCOPED_TRACE(path);
      ExpectNoWorkingDirectory(TryWorkingDirectory(pod, path));
    }
  }
  for (const char* path :
       {"/proc/1/fd/7", "/proc/thread-self/fd/7", "/dev/fd/7", "/proc/self/cwd",
        "/proc/self/root", "/proc/self/root/..", "/proc/1/root",
        "/proc/1/cwd/../../.."}) {
    SCOPED_TRACE(path);
    ExpectNoWorkingDirectory(TryWorkingDirectory(pod, path));
  }
}

TEST_P(LeakedFileTest, A3NorThatOfAnImage) {
  const std::string pod = ModePod();
  for (const char* path :
       {"/proc/self/fd/7", "/proc/self/fd/3/../../..", "/proc/self/cwd"}) {
    SCOPED_TRACE(path);
    const std::string image =
        Image(Json::array({{{"name", "x"}}}), {{"WorkingDir", path}});
    ExpectNoWorkingDirectory(TryCreate(pod, [&](cri::ContainerConfig& config) {
      config.mutable_image()->set_image(image);
    }));
  }
}

// CVE-2024-21626, attack 3: what was a directory is a link by the time of the
// exec, and somebody looks where the joining process is.
TEST_P(LeakedFileTest, A4AnExecDoesNotFollowItsWorkingDirectory) {
  const std::string pod = ModePod();
  const auto in_w = [](cri::ContainerConfig& config) {
    config.set_working_dir("/w/w");
  };
  const std::string container = StartSpy(pod, in_w);
  ASSERT_EQ(Sh(container, "mv /w /v && mkdir /w").exit_code, 0);
  for (int fd = kFirstFd; fd <= kLastFd; ++fd) {
    SCOPED_TRACE(fd);
    // An exec can't any more, so the link is changed in between.
    ASSERT_EQ(symlink(absl::StrCat("/proc/self/fd/", fd).c_str(),
                      InRoot(container, "/w/w").c_str()),
              0);
    const grpc::Status status = Exec(container, {"/caisson-probe", "report"});
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.error_message(), HasSubstr("enter-working-directory"));
    ASSERT_EQ(unlink(InRoot(container, "/w/w").c_str()), 0);
  }
  const Json score = StopAndReadJson(container, "spy.log");
  EXPECT_GT(score["seen"], 0);
  EXPECT_EQ(score["host"], 0);
}

// CVE-2016-9962 as a race: execs one after another under the eyes of a root
// that attacks each as it comes.
TEST_P(LeakedFileTest, A7NoExecIsCaughtInTheAct) {
  const char* wanted = std::getenv("CAISSON_RACE_TRIES");
  int tries = 300;
  EXPECT_TRUE(wanted == nullptr || absl::SimpleAtoi(wanted, &tries));
  const std::string spy = StartSpy(ModePod(), [](cri::ContainerConfig& config) {
    config.mutable_linux()
        ->mutable_security_context()
        ->mutable_seccomp()
        ->set_profile_type(cri::SecurityProfile::Unconfined);
  });
  for (int i = 0; i < tries; ++i) {
    EXPECT_TRUE(Exec(spy, {"/caisson-probe", "exit", "0"}).ok());
  }
  const Json score = StopAndReadJson(spy, "spy.log");
  EXPECT_GT(score["seen"], 0);
  EXPECT_EQ(score["opened"], 0);
  EXPECT_EQ(score["attached"], 0);
  EXPECT_EQ(score["host"], 0);
}

// Nor is there a way to the host for root with CAP_SYS_PTRACE, whom the kernel
// lets into them where its ids are the host's.
TEST_P(LeakedFileTest, A7WhoMayTraceFindsNoWayToTheHost) {
  const std::string spy = StartSpy(ModePod(), [](cri::ContainerConfig& config) {
    auto& security = *config.mutable_linux()->mutable_security_context();
    security.mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::Unconfined);
    security.mutable_capabilities()->add_add_capabilities("SYS_PTRACE");
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(Exec(spy, {"/caisson-probe", "exit", "0"}).ok());
  }
  const Json score = StopAndReadJson(spy, "spy.log");
  EXPECT_GT(score["seen"], 0);
  EXPECT_EQ(score["host"], 0);
}

// CVE-2024-21626, attack 2.
TEST_P(LeakedFileTest, A5NoProgramIsAnOpenFile) {
  Json scripts = Json::array();
  for (int fd = kFirstFd; fd <= kLastFd; ++fd) {
    scripts.push_back({{"name", absl::StrCat("s", fd)},
                       {"data", absl::StrCat("#!/proc/self/fd/", fd, "\n")}});
  }
  const std::string image = Image(scripts);
  const std::string pod = ModePod();
  const std::string container = Start(pod, [&](cri::ContainerConfig& config) {
    config.mutable_image()->set_image(image);
  });
  for (int fd = kFirstFd; fd <= kLastFd; ++fd) {
    const std::string file = absl::StrCat("/proc/self/fd/", fd);
    for (const std::string& program :
         {file, file + "/bin/sh", absl::StrCat("/s", fd)}) {
      const grpc::Status status = Exec(container, {program});
      EXPECT_FALSE(status.ok()) << program;
      // 3 is the channel to the keeper, a socket; all others are closed.
      EXPECT_TRUE(fd == kFirstFd ||
                  absl::StrContains(status.error_message(), "No such file"))
          << status.error_message();
    }
  }
}

TEST_P(LeakedFileTest, A5NorTheFirstOfAContainer) {
  const std::string pod = ModePod();
  for (int fd = kFirstFd; fd < 12; ++fd) {
    const std::string file = absl::StrCat("/proc/self/fd/", fd);
    for (const std::string& program : {file, file + "/bin/sh"}) {
      const grpc::Status status =
          TryCreate(pod, [&](cri::ContainerConfig& config) {
            config.clear_command();
            config.add_command(program);
          });
      EXPECT_FALSE(status.ok()) << program;
    }
  }
}

// The files of an init that is set up, and of the program it becomes.
TEST_P(LeakedFileTest, A6FilesOfAnInitAreCounted) {
  const std::string pod = ModePod();
  for (const bool tty : {false, true}) {
    SCOPED_TRACE(tty ? "terminal" : "pipes");
    const std::string id =
        Create(pod, [&](cri::ContainerConfig& config) { config.set_tty(tty); });
    const int pid = PidOf(id);
    const std::vector<OpenFile> files = OpenFilesOf(pid);
    ASSERT_EQ(files.size(), 4u);
    for (int fd = 0; fd < 3; ++fd) {
      EXPECT_EQ(files[fd].number, fd);
      EXPECT_TRUE(files[fd].IsHarmless()) << files[fd];
    }
    EXPECT_EQ(files[3].number, 3);
    EXPECT_THAT(files[3].target, HasSubstr("socket:"));
    cri::StartContainerRequest start;
    start.set_container_id(id);
    cri::StartContainerResponse started;
    ASSERT_TRUE(
        Call(&cri::RuntimeService::Stub::StartContainer, start, started).ok());
    EXPECT_EQ(OpenFilesOf(pid).size(), 3u);
    EXPECT_EQ(Report(id)["fds"].size(), 3u);
  }
}

// CVE-2015-3627.
TEST_P(LeakedFileTest, A9StandardFilesAreNoneOfTheImage) {
  const Canary canary;
  const std::string before = canary.Fingerprint();
  Json links = Json::array();
  for (const char* name :
       {"dev/null", "dev/console", "dev/tty", "etc/mtab", "dev/stdin"}) {
    links.push_back({{"name", name},
                     {"type", "link"},
                     {"target", canary.path() + "/marker"}});
  }
  const std::string image = Image(links);
  const std::string pod = ModePod();
  for (const bool tty : {false, true}) {
    SCOPED_TRACE(tty ? "terminal" : "pipes");
    const std::string id = Start(pod, [&](cri::ContainerConfig& config) {
      config.mutable_image()->set_image(image);
      config.set_tty(tty);
    });
    const std::vector<OpenFile> files = OpenFilesOf(PidOf(id));
    ASSERT_EQ(files.size(), 3u);
    if (tty) {
      EXPECT_EQ(major(files[0].device), 136u);
    } else {
      EXPECT_EQ(files[0].device, makedev(1, 3));
      EXPECT_TRUE(S_ISFIFO(files[1].type) && S_ISFIFO(files[2].type));
    }
  }
  EXPECT_EQ(canary.Fingerprint(), before);
}

}  // namespace
}  // namespace caisson::cri_test
