#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/mount_api.h"
#include "tests/cri/fields/fields_fixture.h"

// Volumes with mounts in them that have no ID map.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class UnmappableFieldsTest : public FieldsTest {
 protected:
  // A volume of the kubelet: a tmpfs with another at "sub", an overlay at
  // "over dir" and a tmpfs in that, at "deep".
  void SetUp() override {
    FieldsTest::SetUp();
    if (runtime_ == nullptr) {
      return;
    }
    volume_ = directory_ + "/kubelet/volume";
    over_ = volume_ + "/over dir";
    fs::create_directories(volume_);
    Mount("tmpfs", volume_, "size=1m,mode=755");
    for (const char* name : {"/sub", "/over dir", "/lower/deep"}) {
      fs::create_directories(volume_ + name);
    }
    ASSERT_EQ(mount(nullptr, volume_.c_str(), nullptr, MS_SHARED, nullptr), 0);
    Mount("tmpfs", volume_ + "/sub", "size=1m,mode=755");
    std::ofstream(volume_ + "/lower/file") << "below\n";
    Mount("overlay", over_,
          absl::StrCat("lowerdir=", volume_, "/lower:", volume_, "/sub"));
    Mount("tmpfs", over_ + "/deep", "size=1m,mode=755");
  }

  void TearDown() override {
    umount2(volume_.c_str(), MNT_DETACH);
    FieldsTest::TearDown();
    std::error_code error;
    fs::remove_all(directory_ + "/kubelet", error);
  }

  static void Mount(const char* type, const std::string& path,
                    const std::string& options) {
    ASSERT_EQ(mount(type, path.c_str(), type, 0, options.c_str()), 0) << path;
  }

  EditContainer With(const std::function<void(cri::Mount&)>& edit = nullptr) {
    return [this, edit](cri::ContainerConfig& it) {
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(volume_);
      mount.set_container_path("/volume");
      if (edit != nullptr) {
        edit(mount);
      }
    };
  }

  std::string Refusal(const EditContainer& edit) {
    const grpc::Status status = TryCreate(Pod(), edit);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    return status.error_message();
  }

  // Lines of the host's mount table about the volume.
  std::vector<std::string> HostMounts() const {
    std::vector<std::string> lines;
    std::ifstream table("/proc/self/mountinfo");
    for (std::string line; std::getline(table, line);) {
      if (absl::StrContains(line, volume_)) {
        lines.push_back(line);
      }
    }
    return lines;
  }

  Json VolumeInfo(const std::string& container) {
    const Json info = Info(container);
    for (const Json& mount : info["mounts"]) {
      if (mount["target"] == "/volume") {
        return mount;
      }
    }
    return Json();
  }

  std::string volume_;
  std::string over_;
};

TEST_F(UnmappableFieldsTest, RefusalsNameWhatCannotBeMapped) {
  EXPECT_THAT(Refusal(With()),
              AllOf(HasSubstr("take-sources: /volume"), HasSubstr(volume_),
                    HasSubstr("mount below it at over dir"),
                    HasSubstr("filesystem overlay"),
                    HasSubstr("handlers.caisson.unmappable")));
  EXPECT_THAT(Refusal(With([&](auto& it) { it.set_host_path(over_); })),
              AllOf(HasSubstr(over_ + ": filesystem overlay"),
                    HasSubstr("handlers.caisson.unmappable")));
}

TEST_F(UnmappableFieldsTest, WhatCanBeMappedIsMappedAndTheRestIsNot) {
  const std::string container = Start(Pod(nullptr, "test-unmapped"), With());
  EXPECT_EQ(Try(container, {"write", "/volume/new", "x"}), "OK");
  EXPECT_EQ(Try(container, {"write", "/volume/sub/new", "x"}), "OK");
  EXPECT_EQ(Read(container, "/volume/over dir/file"), "below");
  EXPECT_EQ(Probe(container, {"stat", "/volume/over dir/file"})["uid"], 65534);
  EXPECT_EQ(Try(container, {"write", "/volume/over dir/deep/new", "x"}), "OK");
  const Json info = VolumeInfo(container);
  EXPECT_EQ(info["ids"], "mapped");
  EXPECT_EQ(info["unmappedBelow"], Json::array({"over dir"}));
}

TEST_F(UnmappableFieldsTest, AVolumeThatCannotBeMappedAtAllIsAsOnTheHost) {
  const std::string container =
      Start(Pod(nullptr, "test-unmapped"),
            With([&](auto& it) { it.set_host_path(over_); }));
  EXPECT_EQ(Read(container, "/volume/file"), "below");
  EXPECT_EQ(Probe(container, {"stat", "/volume/file"})["uid"], 65534);
  EXPECT_EQ(Try(container, {"write", "/volume/deep/new", "x"}), "OK");
  EXPECT_EQ(VolumeInfo(container)["ids"], "unmapped");
}

TEST_F(UnmappableFieldsTest, MountsTakenOneByOneHaveTheirFlags) {
  const std::string container =
      Start(Pod(nullptr, "test-unmapped"), With([](auto& it) {
              it.set_readonly(true);
              it.set_recursive_read_only(true);
              it.add_mount_options("nosuid");
            }));
  for (const char* path :
       {"/volume/new", "/volume/sub/new", "/volume/over dir/deep/new"}) {
    EXPECT_EQ(Try(container, {"write", path, "x"}), "EROFS") << path;
  }
  const Json report = Report(container);
  int found = 0;
  for (const Json& mount : report["mounts"]) {
    if (absl::StartsWith(std::string(mount["mountpoint"]), "/volume")) {
      const std::vector<std::string> options = mount["options"];
      EXPECT_THAT(options, testing::IsSupersetOf({"ro", "nosuid", "nodev"}));
      ++found;
    }
  }
  EXPECT_EQ(found, 4);
}

TEST_F(UnmappableFieldsTest, TheHostsLaterMountsPropagate) {
  const std::string container =
      Start(Pod(nullptr, "test-unmapped"), With([](auto& it) {
              it.set_propagation(cri::PROPAGATION_HOST_TO_CONTAINER);
            }));
  fs::create_directory(volume_ + "/sub/late");
  Mount("tmpfs", volume_ + "/sub/late", "size=1m");
  std::ofstream(volume_ + "/sub/late/seen") << "yes";
  EXPECT_EQ(Read(container, "/volume/sub/late/seen"), "yes");
}

// Each part attached to a mount that the host shares would appear there.
TEST_F(UnmappableFieldsTest, NothingIsMountedOnTheHost) {
  const std::vector<std::string> before = HostMounts();
  const std::string container =
      Start(Pod(nullptr, "test-unmapped"), With([](auto& it) {
              it.set_propagation(cri::PROPAGATION_BIDIRECTIONAL);
            }));
  EXPECT_EQ(HostMounts(), before);
  EXPECT_EQ(Try(container, {"write", "/volume/new", "x"}), "OK");
  EXPECT_EQ(Probe(container, {"stat", "/volume/sub"})["uid"], 65534);
  EXPECT_EQ(VolumeInfo(container)["unmappedBelow"],
            Json::array({"sub", "over dir", "over dir/deep"}));
}

TEST_F(UnmappableFieldsTest, AMountThatIsMappedAlreadyIsNamedSo) {
  const std::string pod = Pod();
  const UniqueFd users(
      open(absl::StrCat("/proc/", PidOf(Start(pod)), "/ns/user").c_str(),
           O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(users.ok());
  umount2((over_ + "/deep").c_str(), MNT_DETACH);
  umount2(over_.c_str(), MNT_DETACH);
  const absl::StatusOr<UniqueFd> tree =
      kernel::CloneTree(AT_FDCWD, (volume_ + "/sub").c_str(), false);
  ASSERT_TRUE(tree.ok()) << tree.status();
  kernel::MountAttributes map;
  map.user_namespace = users.get();
  ASSERT_TRUE(kernel::SetMountAttributes(tree->get(), map).ok());
  ASSERT_TRUE(kernel::AttachMountAt(tree->get(), AT_FDCWD, over_.c_str()).ok());
  EXPECT_THAT(Refusal(With()),
              AllOf(HasSubstr("mount below it at over dir"),
                    HasSubstr("tmpfs is mounted with an ID map already")));
  // As it is: what the map's owner wrote is his.
  const std::string other = Start(Pod(nullptr, "test-unmapped"), With());
  EXPECT_EQ(VolumeInfo(other)["unmappedBelow"], Json::array({"over dir"}));
}

}  // namespace
}  // namespace caisson::cri_test
