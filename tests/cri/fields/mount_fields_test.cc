#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/cri/fields/fields_fixture.h"
#include "tests/cri/fields/shared_tree.h"

// Mount and Device: what each field does.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class MountFieldsTest : public FieldsTest {
 protected:
  // A directory of the host with a file, and a mount below it.
  std::string Source() {
    const std::string source = directory_ + "/volume";
    fs::create_directories(source + "/sub");
    std::ofstream(source + "/file") << "data\n";
    if (mounted_.empty() && mount("volume", (source + "/sub").c_str(), "tmpfs",
                                  0, "size=1m") == 0) {
      mounted_ = source + "/sub";
    }
    return source;
  }

  void TearDown() override {
    if (!mounted_.empty()) {
      umount2(mounted_.c_str(), MNT_DETACH);
    }
    FieldsTest::TearDown();
    std::error_code error;
    fs::remove_all(directory_ + "/volume", error);
  }

  std::string StartWith(const std::function<void(cri::Mount&)>& edit) {
    return Start(Pod(), [&](auto& it) {
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(Source());
      mount.set_container_path("/volume");
      edit(mount);
    });
  }

 private:
  std::string mounted_;
};

TEST_F(MountFieldsTest, PathsReadOnlyAndRecursive) {
  const std::string plain = StartWith([](auto&) {});
  EXPECT_EQ(Read(plain, "/volume/file"), "data");
  EXPECT_EQ(Try(plain, {"write", "/volume/new", "x"}), "OK");
  // Root of the container made it; on the host it is root's.
  struct stat facts = {};
  ASSERT_EQ(stat((directory_ + "/volume/new").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_uid, 0u);
  const std::string sealed = StartWith([](auto& it) { it.set_readonly(true); });
  EXPECT_EQ(Try(sealed, {"write", "/volume/new", "x"}), "EROFS");
  EXPECT_EQ(Try(sealed, {"write", "/volume/sub/new", "x"}), "OK");
  const std::string all = StartWith([](auto& it) {
    it.set_readonly(true);
    it.set_recursive_read_only(true);
  });
  EXPECT_EQ(Try(all, {"write", "/volume/sub/new", "x"}), "EROFS");
}

// A volume in a volume that has no place for it yet.
TEST_F(MountFieldsTest, MountPointsAreMadeInsideOfVolumes) {
  const std::string source = Source();
  fs::create_directories(source + "/apps");
  ASSERT_EQ(chown((source + "/apps").c_str(), 1000, 1000), 0);
  const std::string container = Start(Pod(), [&](auto& it) {
    for (const auto& [host_path, path] :
         {std::pair(source, "/volume"), std::pair(source, "/volume/a/b"),
          std::pair(source + "/file", "/volume/apps/f")}) {
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(host_path);
      mount.set_container_path(path);
    }
  });
  EXPECT_EQ(Read(container, "/volume/a/b/file"), "data");
  EXPECT_EQ(Read(container, "/volume/apps/f"), "data");
  // The root of the container made them, which is root on the volume.
  for (const char* name : {"/a", "/a/b", "/apps/f"}) {
    struct stat facts = {};
    ASSERT_EQ(stat((source + name).c_str(), &facts), 0);
    EXPECT_EQ(facts.st_uid, 0u);
  }
}

TEST_F(MountFieldsTest, OptionsAreFlags) {
  cri::StatusResponse status;
  Call(&cri::RuntimeService::Stub::Status, {}, status);
  EXPECT_TRUE(status.features().mount_options());
  const auto program = [this] {
    fs::copy_file(CAISSON_BIN_DIR "/caisson-probe", Source() + "/probe",
                  fs::copy_options::overwrite_existing);
  };
  const std::string plain = StartWith([&](auto&) { program(); });
  EXPECT_EQ(Try(plain, {"exec", "/volume/probe"}), "OK");
  const std::string hard = StartWith([](auto& it) {
    for (const char* option : {"noexec", "nosuid", "nodev"}) {
      it.add_mount_options(option);
    }
  });
  EXPECT_EQ(Try(hard, {"exec", "/volume/probe"}), "EACCES");
}

TEST_F(MountFieldsTest, MapsAreThePods) {
  const grpc::Status status = TryCreate(Pod(), [&](auto& it) {
    cri::Mount& mount = *it.add_mounts();
    mount.set_host_path(Source());
    mount.set_container_path("/volume");
    cri::IDMapping& map = *mount.add_uidmappings();
    map.set_host_id(1000);
    map.set_length(1);
  });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("uidMappings"));
}

TEST_F(MountFieldsTest, HostMountsPropagateWhenAsked) {
  // Peers only where the host's own mount is shared.
  const std::string source = Source();
  ASSERT_EQ(
      mount(source.c_str(), source.c_str(), nullptr, MS_BIND | MS_REC, nullptr),
      0);
  ASSERT_EQ(mount(nullptr, source.c_str(), nullptr, MS_SHARED, nullptr), 0);
  const auto with = [&](cri::MountPropagation propagation) {
    return Start(Pod(), [&](auto& it) {
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(source);
      mount.set_container_path("/volume");
      mount.set_propagation(propagation);
    });
  };
  const std::string apart = with(cri::PROPAGATION_PRIVATE);
  const std::string slave = with(cri::PROPAGATION_HOST_TO_CONTAINER);
  fs::create_directory(source + "/late");
  ASSERT_EQ(mount("late", (source + "/late").c_str(), "tmpfs", 0, nullptr), 0);
  std::ofstream(source + "/late/seen") << "yes";
  EXPECT_EQ(Read(apart, "/volume/late/seen"), "<ENOENT>");
  EXPECT_EQ(Read(slave, "/volume/late/seen"), "yes");
  umount2((source + "/late").c_str(), MNT_DETACH);
  umount2(source.c_str(), MNT_DETACH);
}

// What lets go of its copy of a shared tree takes nothing of the host's along.
TEST_F(MountFieldsTest, TheHostKeepsWhatIsMountedBelowASharedVolume) {
  const SharedTree shared(Source());
  for (const char* handler : {"", "caisson-requested"}) {
    const std::string container = Start(Pod(nullptr, handler), [&](auto& it) {
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(shared.path());
      mount.set_container_path("/volume");
      mount.set_propagation(cri::PROPAGATION_BIDIRECTIONAL);
    });
    EXPECT_EQ(Read(container, "/volume/below/seen"), "yes") << handler;
    EXPECT_TRUE(shared.IsWhole()) << handler;
  }
}

TEST_F(MountFieldsTest, ImagesAreVolumesReadOnlyAndRun) {
  const std::string container = Start(Pod(), [](auto& it) {
    cri::Mount& whole = *it.add_mounts();
    whole.mutable_image()->set_image(kProbeImage);
    whole.set_container_path("/image");
    whole.set_readonly(true);
    cri::Mount& part = *it.add_mounts();
    part.mutable_image()->set_image(kProbeImage);
    part.set_image_sub_path("etc");
    part.set_container_path("/part");
    part.set_readonly(true);
  });
  EXPECT_THAT(Read(container, "/image/etc/passwd"), HasSubstr("root:"));
  EXPECT_THAT(Read(container, "/part/passwd"), HasSubstr("root:"));
  EXPECT_EQ(Try(container, {"write", "/image/new", "x"}), "EROFS");
  EXPECT_EQ(Try(container, {"exec", "/image/caisson-probe"}), "OK");
  const grpc::Status missing = TryCreate(Pod(), [](auto& it) {
    cri::Mount& mount = *it.add_mounts();
    mount.mutable_image()->set_image("docker.io/library/not-here:latest");
    mount.set_container_path("/image");
    mount.set_readonly(true);
  });
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  const grpc::Status writable = TryCreate(Pod(), [](auto& it) {
    cri::Mount& mount = *it.add_mounts();
    mount.mutable_image()->set_image(kProbeImage);
    mount.set_container_path("/image");
  });
  EXPECT_EQ(writable.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(writable.error_message(), HasSubstr("readonly"));
}

// The image that is a volume of a container is not removed under it.
TEST_F(MountFieldsTest, AnImageThatIsAVolumeIsHeld) {
  PullImage();
  const std::string container = Start(Pod(), [](auto& it) {
    cri::Mount& mount = *it.add_mounts();
    mount.mutable_image()->set_image(kImage);
    mount.set_container_path("/image");
    mount.set_readonly(true);
  });
  cri::RemoveImageRequest request;
  request.mutable_image()->set_image(kImage);
  cri::RemoveImageResponse response;
  grpc::ClientContext context;
  (void)images_->RemoveImage(&context, request, &response);
  EXPECT_EQ(Try(container, {"stat", "/image/bin/busybox"}), "OK");
}

TEST_F(MountFieldsTest, DevicesHaveTheirPermissions) {
  const auto with = [&](const std::string& permissions) {
    return Start(Pod(), [&](auto& it) {
      cri::Device& device = *it.add_devices();
      device.set_host_path("/dev/kmsg");
      device.set_container_path("/dev/log-of-the-host");
      device.set_permissions(permissions);
      // As the file's owner: what the mode allows is not asked here.
      it.mutable_linux()->mutable_security_context()->set_privileged(false);
    });
  };
  const std::string none = Start(Pod());
  EXPECT_EQ(Try(none, {"open", "/dev/log-of-the-host", "r"}), "ENOENT");
  EXPECT_EQ(Try(with("m"), {"open", "/dev/log-of-the-host", "r"}), "EPERM");
  // The host's own permissions hold as well: 0644 of root's.
  const std::string read = with("r");
  EXPECT_NE(Try(read, {"open", "/dev/log-of-the-host", "r"}), "ENOENT");
  EXPECT_NE(Try(read, {"open", "/dev/log-of-the-host", "w"}), "OK");
  const grpc::Status status = TryCreate(Pod(), [](auto& it) {
    cri::Device& device = *it.add_devices();
    device.set_host_path("/etc/passwd");
    device.set_container_path("/dev/passwd");
    device.set_permissions("r");
  });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// With ids of the host, where the filter alone decides.
TEST_F(MountFieldsTest, TheDeviceFilterHoldsForTheHostsRoot) {
  const std::string pod = Pod(nullptr, "caisson-requested");
  const auto with = [&](const std::string& permissions) {
    return Start(pod, [&](auto& it) {
      cri::Device& device = *it.add_devices();
      device.set_host_path("/dev/kmsg");
      device.set_container_path("/dev/kmsg");
      device.set_permissions(permissions);
      it.mutable_linux()
          ->mutable_security_context()
          ->mutable_capabilities()
          ->add_add_capabilities("SYSLOG");
    });
  };
  const std::string read = with("r");
  EXPECT_EQ(Try(read, {"open", "/dev/kmsg", "r"}), "OK");
  EXPECT_EQ(Try(read, {"open", "/dev/kmsg", "w"}), "EPERM");
  const std::string both = with("rw");
  EXPECT_EQ(Try(both, {"open", "/dev/kmsg", "w"}), "OK");
}

}  // namespace
}  // namespace caisson::cri_test
