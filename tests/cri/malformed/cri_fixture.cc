#include "tests/cri/malformed/cri_fixture.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/machine.h"

namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;

// Names of directories below `root`, down to `depth`.
void ListDirectories(const std::string& root, int depth,
                     std::vector<std::string>& out) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(root, error), end;
       !error && entry != end; entry.increment(error)) {
    if (!entry->is_directory(error)) {
      continue;
    }
    out.push_back(entry->path().string());
    if (entry.depth() + 1 >= depth) {
      entry.disable_recursion_pending();
    }
  }
}

std::vector<std::string> MountsBelow(const std::string& directory) {
  std::vector<std::string> mounts;
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    if (absl::StrContains(line, directory)) {
      mounts.push_back(line.substr(line.find('/')));
    }
  }
  return mounts;
}

}  // namespace

void CriTest::SetUp() {
  const char* endpoint = std::getenv("CONTAINER_RUNTIME_ENDPOINT");
  const char* directory = std::getenv("CAISSON_TEST_DIR");
  CAISSON_REQUIRE(endpoint != nullptr && directory != nullptr,
                  "no daemon: run it under hack/with_caissond.sh");
  directory_ = directory;
  const absl::StatusOr<config::Config> config =
      config::Load(directory_ + "/config.toml");
  ASSERT_TRUE(config.ok()) << config.status();
  config_ = *config;
  const absl::StatusOr<cgroup::Layout> layout =
      cgroup::DetectLayout(config_.state + "/cgroup");
  ASSERT_TRUE(layout.ok()) << layout.status();
  layout_ = *layout;
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateChannel(endpoint, grpc::InsecureChannelCredentials());
  runtime_ = cri::RuntimeService::NewStub(channel);
  images_ = cri::ImageService::NewStub(channel);
  empty_ = Footprint();
}

void CriTest::TearDown() {
  if (runtime_ == nullptr) {
    return;
  }
  cri::ListPodSandboxResponse pods;
  ASSERT_TRUE(Call(&cri::RuntimeService::Stub::ListPodSandbox, {}, pods).ok());
  for (const cri::PodSandbox& pod : pods.items()) {
    cri::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(pod.id());
    cri::StopPodSandboxResponse stopped;
    EXPECT_TRUE(
        Call(&cri::RuntimeService::Stub::StopPodSandbox, stop, stopped).ok());
    cri::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(pod.id());
    cri::RemovePodSandboxResponse removed;
    EXPECT_TRUE(
        Call(&cri::RuntimeService::Stub::RemovePodSandbox, remove, removed)
            .ok());
  }
  EXPECT_EQ(Footprint(), empty_);
}

cri::RunPodSandboxRequest CriTest::GoodPod(const std::string& name) const {
  cri::RunPodSandboxRequest request;
  cri::PodSandboxConfig& config = *request.mutable_config();
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_namespace_("malformed");
  config.mutable_metadata()->set_uid(absl::StrCat("uid-", name));
  config.set_log_directory(directory_ + "/logs");
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::CONTAINER);
  return request;
}

cri::CreateContainerRequest CriTest::GoodContainer(
    const std::string& pod) const {
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod);
  *request.mutable_sandbox_config() = GoodPod("good").config();
  cri::ContainerConfig& config = *request.mutable_config();
  config.mutable_metadata()->set_name("app");
  config.mutable_image()->set_image(kImage);
  config.add_command("sleep");
  config.add_command("1000");
  config.set_log_path("app.log");
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::CONTAINER);
  return request;
}

grpc::Status CriTest::RunPod(const cri::RunPodSandboxRequest& request,
                             std::string* id) {
  cri::RunPodSandboxResponse response;
  grpc::Status status =
      Call(&cri::RuntimeService::Stub::RunPodSandbox, request, response);
  if (id != nullptr) {
    *id = response.pod_sandbox_id();
  }
  return status;
}

grpc::Status CriTest::CreateContainer(
    const cri::CreateContainerRequest& request, std::string* id) {
  cri::CreateContainerResponse response;
  grpc::Status status =
      Call(&cri::RuntimeService::Stub::CreateContainer, request, response);
  if (id != nullptr) {
    *id = response.container_id();
  }
  return status;
}

void CriTest::PullImage() {
  cri::PullImageRequest request;
  request.mutable_image()->set_image(kImage);
  cri::PullImageResponse response;
  grpc::ClientContext context;
  const grpc::Status status = images_->PullImage(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
}

std::vector<std::string> CriTest::Footprint() {
  std::vector<std::string> all;
  cri::ListPodSandboxResponse pods;
  EXPECT_TRUE(Call(&cri::RuntimeService::Stub::ListPodSandbox, {}, pods).ok());
  for (const cri::PodSandbox& pod : pods.items()) {
    all.push_back("pod " + pod.id());
  }
  cri::ListContainersResponse containers;
  EXPECT_TRUE(
      Call(&cri::RuntimeService::Stub::ListContainers, {}, containers).ok());
  for (const cri::Container& container : containers.containers()) {
    all.push_back("container " + container.id());
  }
  std::set<std::string> hierarchies = {layout_.unified};
  for (const auto& [controller, mount_point] : layout_.v1) {
    hierarchies.insert(mount_point);
  }
  for (const std::string& hierarchy : hierarchies) {
    ListDirectories(hierarchy + "/" + config_.cgroup.parent, 4, all);
  }
  std::error_code error;
  for (const std::string& place :
       {config_.state + "/pods", config_.state + "/netns",
        config_.state + "/keepers", config_.root + "/containers"}) {
    for (fs::directory_iterator entry(place, error), end;
         !error && entry != end; entry.increment(error)) {
      all.push_back(entry->path().string());
    }
  }
  for (const std::string& mount : MountsBelow(directory_)) {
    // A layer stays mounted for the next container of its image.
    if (!absl::StrContains(mount, "/layers/")) {
      all.push_back("mount " + mount);
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace caisson::cri_test
