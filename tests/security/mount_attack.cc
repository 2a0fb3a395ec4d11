#include "tests/security/mount_attack.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace caisson::cri_test {

void MountAttackTest::TearDown() {
  SecurityTest::TearDown();
  for (const std::string& volume : volumes_) {
    std::error_code error;
    std::filesystem::remove_all(volume, error);
  }
}

std::string MountAttackTest::Volume() {
  std::string name = "/var/tmp/caisson-volume.XXXXXX";
  volumes_.emplace_back(mkdtemp(name.data()));
  chmod(name.c_str(), 0777);
  return name;
}

cri::Mount& MountAttackTest::Mount(cri::ContainerConfig& it,
                                   const std::string& source,
                                   const std::string& target) {
  cri::Mount& mount = *it.add_mounts();
  mount.set_host_path(source);
  mount.set_container_path(target);
  return mount;
}

const std::string& MountAttackTest::OnePod() {
  if (pod_.empty()) {
    pod_ = ModePod();
  }
  return pod_;
}

grpc::Status MountAttackTest::TryImage(const std::string& image,
                                       const EditContainer& edit) {
  return TryCreate(OnePod(), [&](auto& it) {
    it.mutable_image()->set_image(image);
    if (edit != nullptr) {
      edit(it);
    }
  });
}

void MountAttackTest::ExpectRefused(const grpc::Status& status,
                                    const std::string& text) {
  EXPECT_THAT(status.error_code(),
              ::testing::AnyOf(grpc::StatusCode::FAILED_PRECONDITION,
                               grpc::StatusCode::INVALID_ARGUMENT,
                               grpc::StatusCode::INTERNAL))
      << status.error_message();
  EXPECT_THAT(status.error_message(), testing::HasSubstr(text));
}

std::vector<std::string> MountAttackTest::MountsInside(
    const std::string& container) {
  return absl::StrSplit(Read(container, "/proc/self/mountinfo"), '\n');
}

std::vector<std::string> MountAttackTest::HostMounts(
    const std::string& directory) {
  std::vector<std::string> mounts;
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    bool ours = absl::StrContains(line, directory);
    for (const std::string& volume : volumes_) {
      ours = ours || absl::StrContains(line, volume);
    }
    if (ours) {
      mounts.push_back(line);
    }
  }
  return mounts;
}

int MountAttackTest::Tries(int usual) {
  const char* more = std::getenv("CAISSON_RACE_TRIES");
  return more == nullptr ? usual : std::atoi(more);
}

void MountAttackTest::RemoveContainer(const std::string& id) {
  cri::RemoveContainerRequest request;
  request.set_container_id(id);
  cri::RemoveContainerResponse response;
  EXPECT_TRUE(
      Call(&cri::RuntimeService::Stub::RemoveContainer, request, response)
          .ok());
}

Json Link(const std::string& name, const std::string& target) {
  return {{"name", name}, {"type", "link"}, {"target", target}};
}

Json Directory(const std::string& name) {
  return {{"name", name}, {"type", "dir"}};
}

Json File(const std::string& name, const std::string& data) {
  return {{"name", name}, {"data", data}};
}

}  // namespace caisson::cri_test
