#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "runtime/kernel/apparmor.h"
#include "tests/security/group_c_fixture.h"

// Rows C1 and C2: profiles of AppArmor and seccomp are in force or refused.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ProfileEscapeTest : public GroupCTest {
 protected:
  static EditContainer AppArmor(cri::SecurityProfile::ProfileType type,
                                const std::string& name) {
    return [=](cri::ContainerConfig& it) {
      Security(it).mutable_apparmor()->set_profile_type(type);
      Security(it).mutable_apparmor()->set_localhost_ref(name);
    };
  }

  static EditContainer Seccomp(const std::string& path) {
    return [=](cri::ContainerConfig& it) {
      Security(it).mutable_seccomp()->set_profile_type(
          cri::SecurityProfile::Localhost);
      Security(it).mutable_seccomp()->set_localhost_ref(path);
    };
  }

  // A file of this run with `text`.
  std::string File(const std::string& text) {
    const std::string path = directory_ + "/profile.json";
    std::ofstream(path) << text;
    return path;
  }
};

CAISSON_BOTH_MODES(ProfileEscapeTest);

TEST_P(ProfileEscapeTest, C1AppArmorIsInForceOrRefused) {
  const std::string pod = ModePod();
  for (const char* name : {"no-such-profile", "unconfined_x", "unconfined",
                           "../caisson-default"}) {
    ExpectRefused(pod, AppArmor(cri::SecurityProfile::Localhost, name),
                  grpc::StatusCode::FAILED_PRECONDITION, name);
  }
  ExpectRefused(pod, AppArmor(cri::SecurityProfile::Localhost, ""),
                grpc::StatusCode::INVALID_ARGUMENT,
                "config.linux.security_context.apparmor.localhost_ref");
  const auto usual = AppArmor(cri::SecurityProfile::RuntimeDefault, "");
  if (!kernel::HasAppArmor()) {
    ExpectRefused(pod, usual, grpc::StatusCode::FAILED_PRECONDITION,
                  "AppArmor is not enabled");
    return;
  }
  const std::string container = Start(pod, usual);
  EXPECT_EQ(Read(container, "/proc/1/attr/current"),
            "caisson-default (enforce)");
  EXPECT_EQ(Report(container)["label"], "caisson-default (enforce)");
}

TEST_P(ProfileEscapeTest, C2NamesThatLeadNowhereAreRefused) {
  const std::string pod = ModePod();
  const std::string field =
      "config.linux.security_context.seccomp.localhost_ref";
  for (const char* path : {"", "../x", "relative.json", "a\nb"}) {
    ExpectRefused(pod, Seccomp(path), grpc::StatusCode::INVALID_ARGUMENT,
                  field);
  }
  const std::string fifo = directory_ + "/profile.fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  // Neither may it wait for a writer, nor read for ever.
  for (const std::string& path :
       {directory_ + "/missing.json", directory_, fifo,
        std::string("/dev/zero"), std::string("/dev/null")}) {
    ExpectRefused(pod, Seccomp(path), grpc::StatusCode::INVALID_ARGUMENT,
                  "seccomp profile: read " + path);
  }
  ExpectRefused(pod, Seccomp(File(std::string(3 << 20, ' '))),
                grpc::StatusCode::INVALID_ARGUMENT, "seccomp profile: read ");
  fs::remove(fifo);
  ExpectRefused(
      pod,
      [](auto& it) {
        Security(it).mutable_seccomp()->set_profile_type(
            static_cast<cri::SecurityProfile::ProfileType>(7));
      },
      grpc::StatusCode::INVALID_ARGUMENT,
      "config.linux.security_context.seccomp.profile_type");
}

struct BadProfile {
  const char* text;
  const char* message;
};

constexpr BadProfile kBadProfiles[] = {
    {"{", "seccomp profile"},
    {"[]", "seccomp profile"},
    {"{}", "unknown action"},
    {R"({"defaultAction": "SCMP_ACT_MAYBE"})", "SCMP_ACT_MAYBE"},
    {R"({"defaultAction": "SCMP_ACT_ALLOW",
         "architectures": ["SCMP_ARCH_VAX"]})",
     "SCMP_ARCH_VAX"},
    {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
         {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]})",
     "no_such_call"},
    {R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"})",
     "listenerPath"},
};

TEST_P(ProfileEscapeTest, C2WhatIsNoProfileIsRefused) {
  const std::string pod = ModePod();
  for (const BadProfile& bad : kBadProfiles) {
    ExpectRefused(pod, Seccomp(File(bad.text)),
                  grpc::StatusCode::INVALID_ARGUMENT, bad.message);
  }
  // And one that says nothing wrong is taken.
  const std::string container = Start(
      pod, Seccomp(File(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
          {"names": ["add_key"], "action": "SCMP_ACT_ERRNO"}]})")));
  EXPECT_THAT(Read(container, "/proc/1/status"), HasSubstr("Seccomp:\t2"));
}

TEST_P(ProfileEscapeTest, C2OnlyWhoAsksForNoneHasNone) {
  const std::string pod = ModePod();
  const std::string usual = Start(pod, [](auto& it) {
    Security(it).mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::RuntimeDefault);
  });
  EXPECT_THAT(Read(usual, "/proc/1/status"), HasSubstr("Seccomp:\t2"));
  EXPECT_EQ(Report(usual)["seccomp"], 2);
  const std::string none = Start(pod, [](auto& it) {
    Security(it).mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::Unconfined);
  });
  EXPECT_THAT(Read(none, "/proc/1/status"), HasSubstr("Seccomp:\t0"));
}

}  // namespace
}  // namespace caisson::cri_test
