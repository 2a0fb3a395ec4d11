#include <gmock/gmock.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/security/group_c_fixture.h"

// Rows C3 to C5 and C24: capabilities and no_new_privs, at start and by exec.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kNetBind = uint64_t{1} << 10;
constexpr uint64_t kNetAdmin = uint64_t{1} << 12;
constexpr uint64_t kSysTime = uint64_t{1} << 25;
constexpr char kSetuidImage[] =
    "registry.k8s.io/e2e-test-images/nonewprivs:1.3";

// security.capability of a file (capabilities(7)): version 2, effective, with
// CAP_NET_BIND_SERVICE as permitted or as inheritable.
std::string FileCapability(bool permitted) {
  const std::string net_bind("\0\4\0\0", 4);
  const std::string none(4, '\0');
  return absl::StrCat(std::string("\1\0\0\2", 4), permitted ? net_bind : none,
                      permitted ? none : net_bind, none, none);
}

class CapabilityEscapeTest : public GroupCTest {
 protected:
  // Of the init itself, read on the host; and of what an exec becomes.
  uint64_t OfInit(const std::string& container, const std::string& set) {
    const std::string text = Read(container, "/proc/1/status");
    const size_t at = text.find(set + ":\t");
    EXPECT_NE(at, std::string::npos) << set << text;
    return at == std::string::npos
               ? ~uint64_t{0}
               : std::stoull(text.substr(at + set.size() + 2, 16), nullptr, 16);
  }

  static EditContainer As(int user, std::vector<std::string> add = {},
                          std::vector<std::string> ambient = {}) {
    return [=](cri::ContainerConfig& it) {
      Security(it).mutable_run_as_user()->set_value(user);
      cri::Capability& all = *Security(it).mutable_capabilities();
      for (const std::string& name : add) {
        all.add_add_capabilities(name);
      }
      for (const std::string& name : ambient) {
        all.add_add_ambient_capabilities(name);
      }
    };
  }

  // An image with the probe under other names and with other capabilities.
  std::string ImageWithFileCapabilities() {
    Json members = Json::array();
    for (const bool permitted : {true, false}) {
      members.push_back({{"name", permitted ? "probe-ep" : "probe-ei"},
                         {"file", CAISSON_BIN_DIR "/caisson-probe"},
                         {"pax",
                          {{"SCHILY.xattr.security.capability",
                            FileCapability(permitted)}}}});
    }
    return Image(members, {{"Entrypoint", {"/caisson-probe"}}});
  }
};

CAISSON_BOTH_MODES(CapabilityEscapeTest);

TEST_P(CapabilityEscapeTest, C3NothingIsInheritable) {
  const std::string pod = ModePod();
  for (const int user : {0, 1000}) {
    for (const auto& add :
         {std::vector<std::string>(), std::vector<std::string>{"NET_ADMIN"}}) {
      const std::string container = Start(pod, As(user, add));
      EXPECT_EQ(OfInit(container, "CapInh"), 0u) << user;
      EXPECT_EQ(OfInit(container, "CapAmb"), 0u) << user;
      const Json report = Report(container);
      EXPECT_EQ(CapabilitySet(report, "inheritable"), 0u) << user;
      EXPECT_EQ(CapabilitySet(report, "ambient"), 0u) << user;
      const uint64_t held = CapabilitySet(report, "effective");
      EXPECT_EQ(held & kNetAdmin, user == 0 && !add.empty() ? kNetAdmin : 0)
          << user;
    }
  }
}

// CVE-2022-29162 and its kin.
TEST_P(CapabilityEscapeTest, C3InheritableCapabilitiesOfFilesGiveNothing) {
  const std::string image = ImageWithFileCapabilities();
  const std::string container = Start(ModePod(), [&](auto& it) {
    it.mutable_image()->set_image(image);
    As(1000, {"NET_BIND_SERVICE"})(it);
  });
  const Json none = ReportOf(container, "/probe-ei");
  EXPECT_EQ(none["uid"], 1000);
  EXPECT_EQ(CapabilitySet(none, "effective"), 0u);
  EXPECT_EQ(CapabilitySet(none, "permitted"), 0u);
  // The attribute is there and counts: as permitted it does give.
  EXPECT_EQ(CapabilitySet(ReportOf(container, "/probe-ep"), "effective"),
            kNetBind);
}

// CVE-2025-27612.
TEST_P(CapabilityEscapeTest, C4ExecsHaveNoMoreThanTheContainer) {
  const std::string pod = ModePod();
  for (const int user : {0, 1000}) {
    const std::string container = Start(pod, [&](auto& it) {
      As(user, {"SYS_TIME"})(it);
      Security(it).mutable_capabilities()->add_drop_capabilities("CHOWN");
    });
    const Json exec = Report(container);
    EXPECT_EQ(CapabilitySet(exec, "inheritable"), 0u) << user;
    EXPECT_EQ(CapabilitySet(exec, "ambient"), 0u) << user;
    for (const auto& [of_exec, of_init] :
         {std::pair("effective", "CapEff"), std::pair("permitted", "CapPrm"),
          std::pair("bounding", "CapBnd")}) {
      EXPECT_EQ(CapabilitySet(exec, of_exec), OfInit(container, of_init))
          << user << of_exec;
    }
  }
}

// CVE-2018-1000400.
TEST_P(CapabilityEscapeTest, C5OtherUsersHaveWhatAmbientAsksFor) {
  const std::string pod = ModePod();
  const std::string added = Start(pod, As(1000, {"NET_ADMIN", "SYS_TIME"}));
  const Json none = Report(added);
  for (const char* set : {"effective", "permitted", "ambient"}) {
    EXPECT_EQ(CapabilitySet(none, set), 0u) << set;
  }
  EXPECT_EQ(OfInit(added, "CapEff"), 0u);
  // They may still be had by who becomes root.
  EXPECT_EQ(CapabilitySet(none, "bounding") & (kNetAdmin | kSysTime),
            kNetAdmin | kSysTime);
  const std::string raised = Start(pod, As(1000, {}, {"NET_ADMIN"}));
  const Json one = Report(raised);
  for (const char* set : {"effective", "permitted", "ambient", "inheritable"}) {
    EXPECT_EQ(CapabilitySet(one, set), kNetAdmin) << set;
  }
  EXPECT_EQ(OfInit(raised, "CapEff"), kNetAdmin);
}

TEST_P(CapabilityEscapeTest, C5PrivilegedIsNotForOtherUsers) {
  const std::string pod = ModePod([](auto& it) {
    it.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  const std::string container = Start(pod, [](auto& it) {
    As(1000)(it);
    Security(it).set_privileged(true);
  });
  const Json report = Report(container);
  EXPECT_EQ(CapabilitySet(report, "effective"), 0u);
  EXPECT_EQ(CapabilitySet(report, "permitted"), 0u);
  EXPECT_NE(CapabilitySet(report, "bounding"), 0u);
}

TEST_P(CapabilityEscapeTest, C24NoNewPrivilegesHoldsAtStartAndByExec) {
  cri::PullImageRequest request;
  request.mutable_image()->set_image(kSetuidImage);
  cri::PullImageResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(images_->PullImage(&context, request, &response).ok());
  const std::string pod = ModePod();
  const auto with = [&](bool forbidden) {
    return Start(pod, [&](auto& it) {
      it.mutable_image()->set_image(kSetuidImage);
      it.clear_command();
      it.add_command("/bin/busybox");
      it.add_command("sleep");
      it.add_command("1000");
      As(1000)(it);
      Security(it).set_no_new_privs(forbidden);
    });
  };
  const std::string held = with(true);
  EXPECT_THAT(Sh(held, "cat /proc/1/status").text, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(Sh(held, "cat /proc/self/status").text,
              HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(Sh(held, "cat /proc/1/status").text, HasSubstr("Seccomp:\t"));
  EXPECT_EQ(Sh(held, "/nnp").text, "Effective uid: 1000\n");
  // The program is setuid, and works where it may.
  const std::string free = with(false);
  EXPECT_THAT(Sh(free, "cat /proc/self/status").text,
              HasSubstr("NoNewPrivs:\t0"));
  EXPECT_EQ(Sh(free, "/nnp").text, "Effective uid: 0\n");
}

}  // namespace
}  // namespace caisson::cri_test
