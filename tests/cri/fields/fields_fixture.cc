#include "tests/cri/fields/fields_fixture.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/cri/fields/audit.h"

namespace caisson::cri_test {
namespace {

std::string ReadHostFile(const std::string& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::string(absl::StripAsciiWhitespace(text.str()));
}

void AddKubeletsPaths(cri::LinuxContainerSecurityContext& security) {
  for (const char* path :
       {"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore",
        "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
        "/sys/devices/virtual/powercap"}) {
    security.add_masked_paths(path);
  }
  for (const char* path : {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                           "/proc/sysrq-trigger"}) {
    security.add_readonly_paths(path);
  }
}

}  // namespace

uint64_t HostNamespace(const std::string& name) {
  struct stat facts = {};
  stat(absl::StrCat("/proc/self/ns/", name).c_str(), &facts);
  return facts.st_ino;
}

void FieldsTest::SetUp() {
  CriTest::SetUp();
  if (runtime_ == nullptr) {
    return;
  }
  Pull(kProbeImage);
}

void FieldsTest::Pull(const std::string& image) {
  cri::PullImageRequest request;
  request.mutable_image()->set_image(image);
  cri::PullImageResponse response;
  grpc::ClientContext context;
  const grpc::Status status = images_->PullImage(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
}

std::string FieldsTest::Pod(const EditPod& edit, const std::string& handler) {
  cri::RunPodSandboxRequest request = GoodPod(absl::StrCat("pod", ++number_));
  request.set_runtime_handler(handler);
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_network(cri::POD);
  if (edit != nullptr) {
    edit(*request.mutable_config());
  }
  last_pod_ = request.config();
  std::string id;
  const grpc::Status status = RunPod(request, &id);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return id;
}

grpc::Status FieldsTest::TryCreateOnly(const std::string& pod,
                                       const EditContainer& edit) {
  cri::CreateContainerRequest request = GoodContainer(pod);
  *request.mutable_sandbox_config() = last_pod_;
  cri::ContainerConfig& config = *request.mutable_config();
  config.mutable_metadata()->set_name(absl::StrCat("c", ++number_));
  config.mutable_image()->set_image(kProbeImage);
  config.clear_command();
  config.add_command("/caisson-probe");
  config.add_command("sleep");
  if (kubelets_paths_) {
    AddKubeletsPaths(*config.mutable_linux()->mutable_security_context());
  }
  if (edit != nullptr) {
    edit(config);
  }
  last_container_ = config;
  std::string id;
  const grpc::Status status = CreateContainer(request, &id);
  return status.ok() ? grpc::Status(grpc::StatusCode::OK, id) : status;
}

grpc::Status FieldsTest::TryCreate(const std::string& pod,
                                   const EditContainer& edit) {
  const grpc::Status created = TryCreateOnly(pod, edit);
  if (!created.ok()) {
    return created;
  }
  const std::string id = created.error_message();
  if (audits_) {
    AuditCreated(Info(id));
  }
  cri::StartContainerRequest start;
  start.set_container_id(id);
  cri::StartContainerResponse started;
  const grpc::Status run =
      Call(&cri::RuntimeService::Stub::StartContainer, start, started);
  if (!run.ok()) {
    return run;
  }
  // A program that acts has files of its own, or is gone already.
  if (audits_ && last_container_.command_size() == 2 &&
      last_container_.command(1) == "sleep") {
    const Json info = Info(id);
    AuditProcess(info["pid"], info, last_pod_, last_container_);
  }
  return created;
}

std::string FieldsTest::Start(const std::string& pod,
                              const EditContainer& edit) {
  const grpc::Status status = TryCreate(pod, edit);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return status.ok() ? status.error_message() : "";
}

Json FieldsTest::Probe(const std::string& container,
                       const std::vector<std::string>& arguments) {
  cri::ExecSyncRequest request;
  request.set_container_id(container);
  request.add_cmd("/caisson-probe");
  for (const std::string& argument : arguments) {
    request.add_cmd(argument);
  }
  request.set_timeout(20);
  cri::ExecSyncResponse response;
  const grpc::Status status =
      Call(&cri::RuntimeService::Stub::ExecSync, request, response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  Json answer = Json::parse(response.stdout(), nullptr, false);
  EXPECT_FALSE(answer.is_discarded()) << response.stdout() << response.stderr();
  return answer.is_discarded() ? Json() : answer;
}

std::string FieldsTest::Try(const std::string& container,
                            const std::vector<std::string>& arguments) {
  const Json answer = Probe(container, arguments);
  if (!answer.contains("attempts") || answer["attempts"].empty()) {
    return "nothing tried";
  }
  return answer["attempts"].back()["errno"];
}

std::string FieldsTest::Read(const std::string& container,
                             const std::string& path) {
  const Json answer = Probe(container, {"read", path});
  if (answer.contains("text")) {
    return answer["text"];
  }
  if (!answer.contains("attempts") || answer["attempts"].empty()) {
    return "<nothing tried>";
  }
  return absl::StrCat("<", std::string(answer["attempts"].back()["errno"]),
                      ">");
}

Json FieldsTest::Info(const std::string& container) {
  cri::ContainerStatusRequest request;
  request.set_container_id(container);
  request.set_verbose(true);
  cri::ContainerStatusResponse response;
  const grpc::Status status =
      Call(&cri::RuntimeService::Stub::ContainerStatus, request, response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  const auto info = response.info().find("info");
  if (info == response.info().end()) {
    ADD_FAILURE() << "no verbose info";
    // Who looks for something in it finds nothing, and other tests go on.
    return Json::object();
  }
  return Json::parse(info->second);
}

int FieldsTest::PidOf(const std::string& container) {
  return Info(container).value("pid", 0);
}

std::string FieldsTest::CgroupOf(const std::string& container) {
  const std::string text =
      ReadHostFile(absl::StrCat("/proc/", PidOf(container), "/cgroup"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "0::/")) {
      return std::string(line);
    }
  }
  return "";
}

std::string FieldsTest::Limit(const std::string& container,
                              const std::string& v2_file,
                              const std::string& v1_controller,
                              const std::string& v1_file) {
  if (layout_.is_v2()) {
    return Read(container, "/sys/fs/cgroup/" + v2_file);
  }
  const auto mount = layout_.v1.find(v1_controller);
  if (mount == layout_.v1.end()) {
    return "no controller";
  }
  return ReadHostFile(
      absl::StrCat(mount->second, "/", CgroupOf(container), "/", v1_file));
}

}  // namespace caisson::cri_test
