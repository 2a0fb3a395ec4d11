#include <gmock/gmock.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/cri/fields/fields_fixture.h"

// selinux_options and selinux_relabel: contexts where the kernel has SELinux
// (in the virtual machine), else an error for who asks for one.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

constexpr char kCategories[] = "s0:c[0-9]+,c[0-9]+";

class SelinuxFieldsTest : public FieldsTest {
 protected:
  void SetUp() override {
    FieldsTest::SetUp();
    enabled_ = access("/sys/fs/selinux/enforce", F_OK) == 0;
  }

  // Whether there are contexts to look at; if not, `edit` is refused.
  bool EnabledOrRefused(const EditContainer& edit) {
    if (!enabled_) {
      const grpc::Status status = TryCreate(Pod(), edit);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
      EXPECT_THAT(status.error_message(),
                  AllOf(HasSubstr("security_context.selinux_options"),
                        HasSubstr("SELinux is not enabled")));
    }
    return enabled_;
  }

  std::string ContextOf(const std::string& container,
                        const std::string& process = "1") {
    return WithoutZero(
        Read(container, absl::StrCat("/proc/", process, "/attr/current")));
  }

  // Of a file in the container's root, as the host sees it.
  std::string FileContext(const std::string& container,
                          const std::string& path) {
    return HostFileContext(
        absl::StrCat("/proc/", PidOf(container), "/root", path));
  }

  static std::string HostFileContext(const std::string& path) {
    char text[512] = {};
    const ssize_t length =
        lgetxattr(path.c_str(), "security.selinux", text, sizeof(text) - 1);
    return length < 0 ? absl::StrCat("<", strerrorname_np(errno), ">") : text;
  }

  static std::string WithoutZero(std::string text) {
    return text.substr(0, text.find('\0'));
  }

  static std::string LevelOf(const std::string& context) {
    const std::vector<std::string> fields =
        absl::StrSplit(context, absl::MaxSplits(':', 3));
    return fields.back();
  }

  static cri::SELinuxOption& OptionsOf(cri::ContainerConfig& config) {
    return *config.mutable_linux()
                ->mutable_security_context()
                ->mutable_selinux_options();
  }

  bool enabled_ = false;
};

TEST_F(SelinuxFieldsTest, EachPodHasCategoriesOfItsOwn) {
  if (!EnabledOrRefused([](auto& it) { OptionsOf(it).set_type("spc_t"); })) {
    return;
  }
  const std::string pod = Pod();
  const std::string one = Start(pod);
  const std::string context = ContextOf(one);
  EXPECT_THAT(context, MatchesRegex(absl::StrCat(
                           "system_u:system_r:container_t:", kCategories)));
  // An exec, and another container of the pod.
  EXPECT_EQ(ContextOf(one, "self"), context);
  EXPECT_EQ(ContextOf(Start(pod)), context);
  EXPECT_NE(LevelOf(ContextOf(Start(Pod()))), LevelOf(context));
  const std::string files =
      "system_u:object_r:container_file_t:" + LevelOf(context);
  for (const char* path :
       {"/", "/etc/passwd", "/dev", "/dev/pts", "/dev/shm"}) {
    EXPECT_EQ(FileContext(one, path), files) << path;
  }
  EXPECT_EQ(FileContext(one, "/etc/resolv.conf"), files);
}

TEST_F(SelinuxFieldsTest, APodsOptionsAreItsContainers) {
  const auto options = [](auto& it) {
    it.mutable_linux()
        ->mutable_security_context()
        ->mutable_selinux_options()
        ->set_level("s0:c4,c5");
  };
  if (!enabled_) {
    cri::RunPodSandboxRequest request = GoodPod("labelled");
    options(*request.mutable_config());
    std::string id;
    const grpc::Status status = RunPod(request, &id);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("SELinux is not enabled"));
    return;
  }
  const std::string container = Start(Pod(options));
  EXPECT_EQ(ContextOf(container), "system_u:system_r:container_t:s0:c4,c5");
  EXPECT_EQ(FileContext(container, "/etc/passwd"),
            "system_u:object_r:container_file_t:s0:c4,c5");
  // Two that ask for the same have it.
  EXPECT_EQ(LevelOf(ContextOf(Start(Pod(options)))), "s0:c4,c5");
}

TEST_F(SelinuxFieldsTest, AContainersOptionsWin) {
  if (!EnabledOrRefused(
          [](auto& it) { OptionsOf(it).set_level("s0:c1,c2"); })) {
    return;
  }
  const std::string pod = Pod();
  const std::string typed =
      Start(pod, [](auto& it) { OptionsOf(it).set_type("spc_t"); });
  EXPECT_THAT(ContextOf(typed), StartsWith("system_u:system_r:spc_t:s0:c"));
  const std::string level =
      Start(pod, [](auto& it) { OptionsOf(it).set_level("s0:c1,c2"); });
  EXPECT_EQ(ContextOf(level), "system_u:system_r:container_t:s0:c1,c2");
  EXPECT_EQ(FileContext(level, "/etc"),
            "system_u:object_r:container_file_t:s0:c1,c2");
  const grpc::Status unknown =
      TryCreate(pod, [](auto& it) { OptionsOf(it).set_type("no_such_t"); });
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(unknown.error_message(),
              AllOf(HasSubstr("selinux_options"), HasSubstr("no_such_t")));
}

TEST_F(SelinuxFieldsTest, APrivilegedProcessIsNotConfined) {
  if (!enabled_) {
    GTEST_SKIP() << "SELinux is not enabled";
  }
  const std::string pod = Pod(
      [](auto& it) {
        it.mutable_linux()->mutable_security_context()->set_privileged(true);
      },
      "caisson-requested");
  const std::string container = Start(pod, [](auto& it) {
    it.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  EXPECT_EQ(ContextOf(container), "system_u:system_r:spc_t:s0");
}

TEST_F(SelinuxFieldsTest, VolumesAreRelabelledWhenAsked) {
  const std::string path = directory_ + "/relabelled";
  fs::create_directories(path + "/deep");
  std::ofstream(path + "/deep/file") << "x";
  fs::create_symlink("/etc/hostname", path + "/link");
  const std::string before = HostFileContext("/etc/hostname");
  const auto with = [&](bool relabel) {
    return [=](cri::ContainerConfig& it) {
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(path);
      mount.set_container_path("/volume");
      mount.set_selinux_relabel(relabel);
    };
  };
  const std::string unlabelled = HostFileContext(path);
  const std::string pod = Pod();
  Start(pod, with(false));
  EXPECT_EQ(HostFileContext(path), unlabelled);
  // Without SELinux it asks for nothing.
  const std::string container = Start(pod, with(true));
  EXPECT_EQ(Read(container, "/volume/deep/file"), "x");
  if (enabled_) {
    const std::string context = FileContext(container, "/etc/passwd");
    for (const char* name : {"", "/deep", "/deep/file", "/link"}) {
      EXPECT_EQ(HostFileContext(path + name), context) << name;
    }
    const grpc::Status status = TryCreate(pod, [](auto& it) {
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path("/etc");
      mount.set_container_path("/volume");
      mount.set_selinux_relabel(true);
    });
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("selinux_relabel"));
  } else {
    EXPECT_EQ(HostFileContext(path), unlabelled);
  }
  EXPECT_EQ(HostFileContext("/etc/hostname"), before);
  fs::remove_all(path);
}

}  // namespace
}  // namespace caisson::cri_test
