#include "tests/security/security_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/id.h"
#include "runtime/base/unique_fd.h"
#include "tests/support/await.h"
#include "tests/support/machine.h"

namespace caisson::cri_test {
namespace {

using ::caisson::testing::Await;
using ::caisson::testing::ReadFile;
using ::caisson::testing::ShellOutput;

// Of renameat2(2); the headers of C libraries differ in where it is.
constexpr unsigned kRenameExchange = 2;

std::string Programs() {
  // A write through the filesystem changes the times; the content of the one
  // that containers come near is compared as well.
  return ShellOutput("cd '" CAISSON_BIN_DIR
                     "' && stat -c '%n %i %s %Y %Z' caisson* && "
                     "cksum caisson-keeper");
}

}  // namespace

Canary::Canary() : secret_(GenerateId()) {
  std::string name = "/var/tmp/caisson-canary.XXXXXX";
  path_ = mkdtemp(name.data());
  // Else the permissions of the directory hide what the runtime let through.
  chmod(path_.c_str(), 0777);
  std::ofstream(path_ + "/marker") << secret_;
  chmod((path_ + "/marker").c_str(), 0666);
  mkdir((path_ + "/empty").c_str(), 0777);
  chmod((path_ + "/empty").c_str(), 0777);
}

Canary::~Canary() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::string Canary::Fingerprint() const {
  return ShellOutput(absl::StrCat(
      "find ", path_, " -printf '%P|%y|%m|%U:%G|%s|%T@|%C@|%l\\n' | sort; cat ",
      path_, "/marker"));
}

Exchanger::Exchanger(const std::string& a, const std::string& b) {
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) {
      syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(),
              kRenameExchange);
    }
  }
}

Exchanger::~Exchanger() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

std::string SecurityTest::Knobs() const {
  std::string all;
  for (const char* knob :
       {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname",
        "/sys/kernel/uevent_helper", "/proc/sys/kernel/panic"}) {
    absl::StrAppend(&all, knob, "=", ReadFile(knob), "\n");
  }
  return all + ShellOutput("ls /proc/sys/fs/binfmt_misc 2>/dev/null");
}

void SecurityTest::SetUp() {
  FieldsTest::SetUp();
  kubelets_paths_ = true;
  if (runtime_ == nullptr || HasFatalFailure()) {
    return;
  }
  knobs_ = Knobs();
  programs_ = Programs();
}

void SecurityTest::TearDown() {
  if (runtime_ != nullptr) {
    EXPECT_EQ(Knobs(), knobs_);
    EXPECT_EQ(Programs(), programs_);
  }
  FieldsTest::TearDown();
}

std::string SecurityTest::ModePod(const EditPod& edit) {
  return Pod(edit, OwnUsers() ? "" : "caisson-requested");
}

grpc::Status SecurityTest::TryPull(const Json& members, const Json& config,
                                   std::string* name) {
  const char* registry = std::getenv("CAISSON_TEST_REGISTRY");
  EXPECT_NE(registry, nullptr);
  const std::string own = absl::StrCat("attack/", GenerateId().substr(0, 12),
                                       "-", ++image_, ":latest");
  Json spec = {{"registry", registry},
               {"name", own},
               {"base",
                {"build/images/busybox.tar.gz",
                 "build/images/program-caisson-probe.tar.gz"}},
               {"layers", Json::array({members})},
               {"config", config}};
  const std::string file = absl::StrCat(directory_, "/image.json");
  std::ofstream(file) << spec.dump();
  const int pushed = ::caisson::testing::Shell(
      absl::StrCat("python3 tests/support/hostile_image.py <", file, " >",
                   directory_, "/image.log 2>&1"));
  EXPECT_EQ(pushed, 0) << ReadFile(directory_ + "/image.log");
  cri::PullImageRequest request;
  request.mutable_image()->set_image(absl::StrCat("docker.io/", own));
  if (name != nullptr) {
    *name = request.image().image();
  }
  cri::PullImageResponse response;
  grpc::ClientContext context;
  return images_->PullImage(&context, request, &response);
}

std::string SecurityTest::Image(const Json& members, const Json& config) {
  std::string name;
  const grpc::Status status = TryPull(members, config, &name);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return name;
}

SecurityTest::Output SecurityTest::Sh(const std::string& container,
                                      const std::string& script,
                                      int timeout_seconds) {
  cri::ExecSyncRequest request;
  request.set_container_id(container);
  for (const char* word : {"/bin/busybox", "sh", "-c"}) {
    request.add_cmd(word);
  }
  request.add_cmd(script);
  request.set_timeout(timeout_seconds);
  cri::ExecSyncResponse response;
  const grpc::Status status =
      Call(&cri::RuntimeService::Stub::ExecSync, request, response);
  Output output;
  output.text = response.stdout();
  output.error =
      status.ok() ? response.stderr() : std::string(status.error_message());
  output.exit_code = status.ok() ? response.exit_code() : -1;
  return output;
}

grpc::Status SecurityTest::Exec(const std::string& container,
                                const std::vector<std::string>& command,
                                cri::ExecSyncResponse* response) {
  cri::ExecSyncRequest request;
  request.set_container_id(container);
  request.mutable_cmd()->Assign(command.begin(), command.end());
  request.set_timeout(30);
  cri::ExecSyncResponse own;
  return Call(&cri::RuntimeService::Stub::ExecSync, request,
              response == nullptr ? own : *response);
}

std::string SecurityTest::Create(const std::string& pod,
                                 const EditContainer& edit) {
  const grpc::Status created = TryCreateOnly(pod, edit);
  EXPECT_TRUE(created.ok()) << created.error_message();
  return created.ok() ? created.error_message() : "";
}

Json SecurityTest::StopAndReadJson(const std::string& container,
                                   const std::string& name) {
  cri::StopContainerRequest stop;
  stop.set_container_id(container);
  stop.set_timeout(10);
  cri::StopContainerResponse stopped;
  EXPECT_TRUE(
      Call(&cri::RuntimeService::Stub::StopContainer, stop, stopped).ok());
  return JsonOf(name);
}

Json SecurityTest::JsonOf(const std::string& name) {
  const std::string text = ReadFile(absl::StrCat(directory_, "/logs/", name));
  // A terminal may have echoed something before it.
  const size_t begin = text.find('{');
  EXPECT_NE(begin, text.npos) << text;
  if (begin == text.npos) {
    return Json::object();
  }
  return Json::parse(
      text.substr(begin, text.find_first_of("\r\n", begin) - begin), nullptr,
      false);
}

void SecurityTest::AwaitLog(const std::string& name) {
  const std::string file = absl::StrCat(directory_, "/logs/", name);
  Await([&] { return absl::StrContains(ReadFile(file), "}"); },
        absl::Seconds(20));
}

void SecurityTest::RestartDaemon() {
  const std::string pid_file = directory_ + "/caissond.pid";
  const int old = std::atoi(ReadFile(pid_file).c_str());
  ASSERT_GT(old, 1);
  const UniqueFd ended(static_cast<int>(syscall(SYS_pidfd_open, old, 0)));
  kill(old, SIGKILL);
  // Another refuses to start while it answers.
  pollfd wait = {ended.get(), POLLIN, 0};
  ASSERT_EQ(poll(&wait, 1, 20000), 1);
  const std::string config = directory_ + "/config.toml";
  const std::string log = directory_ + "/caissond.log";
  const pid_t pid = fork();
  if (pid == 0) {
    const int out = open(log.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    setsid();
    execl(CAISSON_BIN_DIR "/caissond", "caissond", "--config", config.c_str(),
          nullptr);
    _exit(127);
  }
  std::ofstream(pid_file) << pid;
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateChannel("unix://" + directory_ + "/run/caisson.sock",
                          grpc::InsecureChannelCredentials());
  runtime_ = cri::RuntimeService::NewStub(channel);
  images_ = cri::ImageService::NewStub(channel);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(30));
  cri::VersionResponse response;
  const grpc::Status status = runtime_->Version(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
}

bool SecurityTest::IsOfTheHost(const std::string& container,
                               const std::string& path) {
  const Json seen = Probe(container, {"stat", path});
  if (!seen.contains("inode")) {
    return false;
  }
  for (const std::string& own : {std::string("/"), directory_}) {
    struct stat facts = {};
    EXPECT_EQ(stat(own.c_str(), &facts), 0);
    if (seen["inode"] == facts.st_ino && seen["device"] == facts.st_dev) {
      return true;
    }
  }
  return false;
}

}  // namespace caisson::cri_test
