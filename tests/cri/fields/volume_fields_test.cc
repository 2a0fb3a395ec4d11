#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/cri/fields/fields_fixture.h"

// What becomes of the volumes that an image declares.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

class VolumeFieldsTest : public FieldsTest {
 protected:
  static std::string Image(const std::string& tag) {
    return "docker.io/library/caisson-volumes:" + tag;
  }

  // With a read-only root.
  static EditContainer Sealed(const std::string& tag,
                              const EditContainer& more = nullptr) {
    return [=](cri::ContainerConfig& it) {
      it.mutable_image()->set_image(Image(tag));
      it.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
      if (more != nullptr) {
        more(it);
      }
    };
  }
};

TEST_F(VolumeFieldsTest, AreWritableBelowAReadOnlyRoot) {
  Pull(Image("good"));
  for (const char* handler : {"", "caisson-requested"}) {
    const std::string container = Start(Pod(nullptr, handler), Sealed("good"));
    EXPECT_EQ(Try(container, {"write", "/new-file", "x"}), "EROFS");
    EXPECT_EQ(Read(container, "/data/file"), "image");
    for (const char* path :
         {"/data/file", "/data/new", "/data/sub/new", "/open/new",
          "/new/deep/new", "/linked/more", "/other/made/new"}) {
      EXPECT_EQ(Try(container, {"write", path, "written"}), "OK") << path;
      EXPECT_EQ(Read(container, path), "written") << path;
    }
    EXPECT_EQ(Read(container, "/data/more"), "written");
    EXPECT_EQ(Try(container, {"write", "/new/beside", "x"}), "EROFS");
    for (const Json& mount : Report(container)["mounts"]) {
      const std::string point = mount["mountpoint"];
      if (point == "/data" || point == "/open" || point == "/new/deep") {
        const std::vector<std::string> options = mount["options"];
        EXPECT_THAT(options, IsSupersetOf({"rw", "nosuid", "nodev"})) << point;
      }
    }
    // Not lifted by a container that may mount.
    EXPECT_EQ(Try(container, {"try-remount", "/"}), "EPERM");
    // What one container wrote is its own.
    const std::string other = Start(Pod(nullptr, handler), Sealed("good"));
    EXPECT_EQ(Read(other, "/data/file"), "image");
    EXPECT_EQ(Read(other, "/open/new"), "<ENOENT>");
  }
}

TEST_F(VolumeFieldsTest, KeepOwnerAndModeOfTheImage) {
  Pull(Image("good"));
  const std::string container = Start(Pod(), Sealed("good", [](auto& it) {
                                        it.mutable_linux()
                                            ->mutable_security_context()
                                            ->mutable_run_as_user()
                                            ->set_value(1000);
                                      }));
  EXPECT_EQ(Try(container, {"write", "/open/new", "x"}), "OK");
  EXPECT_EQ(Try(container, {"write", "/data/new", "x"}), "EACCES");
}

// Nothing is copied to where the request has a volume (CVE-2020-1726).
TEST_F(VolumeFieldsTest, AMountOfTheRequestIsLeftAlone) {
  Pull(Image("good"));
  const std::string source = directory_ + "/volume";
  fs::create_directories(source);
  std::ofstream(source + "/file") << "host\n";
  const std::string container = Start(Pod(), Sealed("good", [&](auto& it) {
                                        cri::Mount& mount = *it.add_mounts();
                                        mount.set_host_path(source);
                                        mount.set_container_path("/data");
                                        mount.set_readonly(true);
                                      }));
  EXPECT_EQ(Read(container, "/data/file"), "host");
  EXPECT_EQ(Read(container, "/linked/file"), "host");
  EXPECT_EQ(Try(container, {"write", "/data/new", "x"}), "EROFS");
  EXPECT_EQ(Try(container, {"write", "/linked/new", "x"}), "EROFS");
  EXPECT_EQ(Read(container, "/data/sub"), "<ENOENT>");
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(source)) {
    ++entries;
  }
  EXPECT_EQ(entries, 1u);
  std::error_code error;
  fs::remove_all(source, error);
}

// Paths that lead out of the root, or over all of it (CVE-2022-23648).
TEST_F(VolumeFieldsTest, HostilePathsAreRefused) {
  const std::pair<const char*, const char*> rows[] = {
      {"dots", "/../../../../etc"}, {"inner-dots", "/data/../../.."},
      {"relative", "data"},         {"root", "is the root"},
      {"kernel", "lies in /proc"},
  };
  const std::string pod = Pod();
  const std::vector<std::string> before = Footprint();
  for (const auto& [tag, because] : rows) {
    Pull(Image(tag));
    const grpc::Status status = TryCreate(pod, Sealed(tag));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << tag;
    EXPECT_THAT(status.error_message(),
                AllOf(HasSubstr(Image(tag)), HasSubstr(because)));
  }
  for (const char* tag : {"to-root", "file"}) {
    Pull(Image(tag));
    const grpc::Status status = TryCreate(pod, Sealed(tag));
    EXPECT_FALSE(status.ok()) << tag;
    EXPECT_THAT(status.error_message(), HasSubstr("mount-volumes")) << tag;
  }
  EXPECT_EQ(Footprint(), before);
}

// However many steps up it begins with, a link stays in the root.
TEST_F(VolumeFieldsTest, AVolumeThatIsALinkIsMadeInside) {
  Pull(Image("away"));
  const std::string container = Start(Pod(), Sealed("away"));
  EXPECT_EQ(Try(container, {"write", "/var/tmp/caisson-away/new", "x"}), "OK");
  EXPECT_EQ(Read(container, "/away/new"), "x");
  EXPECT_FALSE(fs::exists("/var/tmp/caisson-away"));
}

// Below a root that can be written they need nothing, whatever they are.
TEST_F(VolumeFieldsTest, AWritableRootNeedsNone) {
  for (const char* tag : {"good", "dots", "to-root"}) {
    Pull(Image(tag));
    const std::string container = Start(
        Pod(), [&](auto& it) { it.mutable_image()->set_image(Image(tag)); });
    EXPECT_EQ(Read(container, "/data/file"), "image");
    EXPECT_EQ(Try(container, {"write", "/data/new", "x"}), "OK");
    for (const Json& mount : Report(container)["mounts"]) {
      EXPECT_NE(mount["mountpoint"], "/data");
    }
  }
}

}  // namespace
}  // namespace caisson::cri_test
