#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/kernel/apparmor.h"
#include "tests/cri/fields/fields_fixture.h"

// LinuxContainerSecurityContext: what each field does.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

cri::LinuxContainerSecurityContext& Security(cri::ContainerConfig& container) {
  return *container.mutable_linux()->mutable_security_context();
}

uint64_t Capabilities(const Json& report, const char* set) {
  return std::stoull(std::string(report["capabilities"][set]), nullptr, 16);
}

constexpr uint64_t kNetAdmin = 1u << 12;
constexpr uint64_t kNetBind = 1u << 10;
constexpr uint64_t kChown = 1u << 0;

TEST_F(FieldsTest, AddedCapabilitiesAreHeld) {
  const std::string pod = Pod();
  EXPECT_EQ(Capabilities(Report(Start(pod)), "effective") & kNetAdmin, 0u);
  const Json report = Report(Start(pod, [](auto& it) {
    Security(it).mutable_capabilities()->add_add_capabilities("NET_ADMIN");
  }));
  for (const char* set : {"effective", "permitted", "bounding"}) {
    EXPECT_EQ(Capabilities(report, set) & kNetAdmin, kNetAdmin) << set;
  }
  EXPECT_EQ(Capabilities(report, "inheritable"), 0u);
}

TEST_F(FieldsTest, DroppedCapabilitiesAreGone) {
  const std::string pod = Pod();
  EXPECT_NE(Capabilities(Report(Start(pod)), "effective") & kChown, 0u);
  const Json one = Report(Start(pod, [](auto& it) {
    Security(it).mutable_capabilities()->add_drop_capabilities("CHOWN");
  }));
  EXPECT_EQ(Capabilities(one, "bounding") & kChown, 0u);
  const Json all = Report(Start(pod, [](auto& it) {
    Security(it).mutable_capabilities()->add_drop_capabilities("ALL");
  }));
  for (const char* set : {"effective", "permitted", "bounding", "ambient"}) {
    EXPECT_EQ(Capabilities(all, set), 0u) << set;
  }
}

TEST_F(FieldsTest, AmbientCapabilitiesReachUsersOtherThanRoot) {
  const std::string pod = Pod();
  const auto user = [](cri::ContainerConfig& it) {
    Security(it).mutable_run_as_user()->set_value(1000);
  };
  EXPECT_EQ(Capabilities(Report(Start(pod, user)), "effective"), 0u);
  const Json report = Report(Start(pod, [&](auto& it) {
    user(it);
    Security(it).mutable_capabilities()->add_add_ambient_capabilities(
        "NET_BIND_SERVICE");
  }));
  EXPECT_EQ(Capabilities(report, "ambient"), kNetBind);
  EXPECT_EQ(Capabilities(report, "effective"), kNetBind);
}

TEST_F(FieldsTest, PrivilegedContainersHaveAllCapabilitiesAndDevices) {
  const std::string pod = Pod([](auto& it) {
    it.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  const auto paths = [](cri::ContainerConfig& it) {
    Security(it).add_masked_paths("/proc/kcore");
  };
  const std::string plain = Start(pod, paths);
  const std::string all = Start(pod, [&](auto& it) {
    paths(it);
    Security(it).set_privileged(true);
  });
  EXPECT_GT(Capabilities(Report(all), "effective"),
            Capabilities(Report(plain), "effective"));
  EXPECT_EQ(Try(plain, {"open", "/dev/kmsg", "r"}), "ENOENT");
  EXPECT_EQ(Try(all, {"open", "/dev/kmsg", "r"}), "OK");
  EXPECT_EQ(Report(all)["seccomp"], 0);
}

TEST_F(FieldsTest, UserAndGroupAreNumbers) {
  const Json report = Report(Start(Pod(), [](auto& it) {
    Security(it).mutable_run_as_user()->set_value(1234);
    Security(it).mutable_run_as_group()->set_value(5678);
  }));
  for (const char* id : {"uid", "euid", "suid"}) {
    EXPECT_EQ(report[id], 1234) << id;
  }
  for (const char* id : {"gid", "egid", "sgid"}) {
    EXPECT_EQ(report[id], 5678) << id;
  }
}

// busybox's image has a user of this name; its passwd was stored by the
// puller.
TEST_F(FieldsTest, UserNamesAreLookedUpInTheImage) {
  const grpc::Status unknown = TryCreate(Pod(), [](auto& it) {
    Security(it).set_run_as_username("nobody-has-this-name");
  });
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(unknown.error_message(), HasSubstr("nobody-has-this-name"));
  const Json report = Report(Start(
      Pod(), [](auto& it) { Security(it).set_run_as_username("daemon"); }));
  EXPECT_EQ(report["uid"], 1);
}

TEST_F(FieldsTest, SupplementalGroupsAreMergedOrStrict) {
  const std::string pod = Pod();
  const auto groups = [](cri::ContainerConfig& it) {
    Security(it).set_run_as_username("default-user");
    Security(it).add_supplemental_groups(4321);
  };
  const std::vector<int> merged = Report(Start(pod, groups))["groups"];
  // As in the image: it is in this one by name.
  EXPECT_THAT(merged, IsSupersetOf({4321, 50000}));
  const std::vector<int> strict = Report(Start(pod, [&](auto& it) {
    groups(it);
    Security(it).set_supplemental_groups_policy(
        cri::SupplementalGroupsPolicy::Strict);
  }))["groups"];
  EXPECT_EQ(strict, (std::vector<int>{1000, 4321}));
}

TEST_F(FieldsTest, ReadOnlyRootsCannotBeWritten) {
  const std::string pod = Pod();
  EXPECT_EQ(Try(Start(pod), {"write", "/new", "x"}), "OK");
  const std::string sealed =
      Start(pod, [](auto& it) { Security(it).set_readonly_rootfs(true); });
  EXPECT_EQ(Try(sealed, {"write", "/new", "x"}), "EROFS");
  EXPECT_EQ(Try(sealed, {"write", "/dev/shm/new", "x"}), "OK");
}

TEST_F(FieldsTest, NoNewPrivilegesIsSet) {
  const std::string pod = Pod();
  EXPECT_EQ(Report(Start(pod))["no_new_privileges"], 0);
  EXPECT_EQ(Report(Start(pod,
                         [](auto& it) {
                           Security(it).set_no_new_privs(true);
                         }))["no_new_privileges"],
            1);
}

TEST_F(FieldsTest, MaskedPathsAreEmptyAndReadOnlyPathsAreSo) {
  const std::string pod = Pod();
  const std::string container = Start(pod, [](auto& it) {
    Security(it).add_masked_paths("/proc/cpuinfo");
    Security(it).add_masked_paths("/proc/bus");
    Security(it).add_readonly_paths("/proc/irq");
  });
  EXPECT_EQ(Read(container, "/proc/cpuinfo"), "");
  EXPECT_EQ(Try(container, {"stat", "/proc/bus/input"}), "ENOENT");
  // Exactly those that are asked for: this one isn't.
  EXPECT_NE(Read(container, "/proc/timer_list"), "");
  bool found = false;
  const Json report = Report(container);
  for (const Json& mount : report["mounts"]) {
    if (mount["mountpoint"] == "/proc/irq") {
      found = true;
      const std::vector<std::string> options = mount["options"];
      EXPECT_THAT(options, testing::Contains("ro"));
    }
  }
  EXPECT_TRUE(found);
}

// procMount "Unmasked" reaches a runtime as two empty lists.
TEST_F(FieldsTest, NothingIsMaskedUnlessAskedForOrNothingIsSaid) {
  const std::string pod = Pod();
  const auto masked = [&](const EditContainer& edit) {
    std::set<std::string> points;
    const Json report = Report(Start(pod, edit));
    for (const Json& mount : report["mounts"]) {
      const std::string point = mount["mountpoint"];
      if (absl::StartsWith(point, "/proc/") ||
          absl::StartsWith(point, "/sys/devices/")) {
        points.insert(point);
      }
    }
    return points;
  };
  EXPECT_THAT(masked(nullptr), testing::IsEmpty());
  EXPECT_THAT(masked([](auto& it) {
                Security(it).add_masked_paths("/proc/timer_list");
                Security(it).add_readonly_paths("/proc/sys");
              }),
              testing::ElementsAre("/proc/sys", "/proc/timer_list"));
  EXPECT_THAT(masked([](auto& it) { it.clear_linux(); }),
              IsSupersetOf({"/proc/irq", "/proc/sys", "/proc/timer_list"}));
}

TEST_F(FieldsTest, SeccompIsTheDefaultNoneOrAFileOfTheHost) {
  const std::string pod = Pod();
  const auto profile = [](cri::SecurityProfile::ProfileType type,
                          const std::string& path) {
    return [=](cri::ContainerConfig& it) {
      Security(it).mutable_seccomp()->set_profile_type(type);
      Security(it).mutable_seccomp()->set_localhost_ref(path);
    };
  };
  const std::string usual =
      Start(pod, profile(cri::SecurityProfile::RuntimeDefault, ""));
  const std::string none =
      Start(pod, profile(cri::SecurityProfile::Unconfined, ""));
  EXPECT_EQ(Report(usual)["seccomp"], 2);
  EXPECT_EQ(Report(none)["seccomp"], 0);
  EXPECT_EQ(Try(usual, {"keyctl"}), "EPERM");
  EXPECT_NE(Try(none, {"keyctl"}), "EPERM");
  const std::string path = directory_ + "/no-keys.json";
  std::ofstream(path) << R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["add_key", "request_key"],
       "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]})";
  const std::string own =
      Start(pod, profile(cri::SecurityProfile::Localhost, path));
  EXPECT_EQ(Report(own)["seccomp"], 2);
  EXPECT_EQ(Try(own, {"keyctl"}), "EOPNOTSUPP");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

TEST_F(FieldsTest, TheOldFormsOfProfilesAreHeard) {
  const std::string pod = Pod();
  const auto profile = [](const std::string& value) {
    return [=](cri::ContainerConfig& it) {
      Security(it).set_seccomp_profile_path(value);
    };
  };
  EXPECT_EQ(Report(Start(pod, profile("runtime/default")))["seccomp"], 2);
  EXPECT_EQ(Report(Start(pod, profile("unconfined")))["seccomp"], 0);
  const grpc::Status status = TryCreate(pod, [](auto& it) {
    Security(it).set_apparmor_profile("localhost/no-such-profile");
  });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("no-such-profile"));
}

#pragma GCC diagnostic pop

TEST_F(FieldsTest, AppArmorConfinesOrSaysThatItCannot) {
  const std::string pod = Pod();
  const auto profile = [](cri::SecurityProfile::ProfileType type,
                          const std::string& name) {
    return [=](cri::ContainerConfig& it) {
      Security(it).mutable_apparmor()->set_profile_type(type);
      Security(it).mutable_apparmor()->set_localhost_ref(name);
    };
  };
  const grpc::Status status =
      TryCreate(pod, profile(cri::SecurityProfile::Localhost, "missing"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("\"missing\""));
  if (!kernel::HasAppArmor()) {
    return;
  }
  const std::string usual =
      Start(pod, profile(cri::SecurityProfile::RuntimeDefault, ""));
  EXPECT_EQ(Report(usual)["label"], "caisson-default (enforce)");
  const std::string none =
      Start(pod, profile(cri::SecurityProfile::Unconfined, ""));
  EXPECT_EQ(Report(none)["label"], "unconfined");
}

}  // namespace
}  // namespace caisson::cri_test
