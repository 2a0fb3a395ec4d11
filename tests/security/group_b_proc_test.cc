#include <gmock/gmock.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/kernel/apparmor.h"
#include "tests/security/mount_attack.h"
#include "tests/security/opens_inside.h"
#include "tests/security/strace.h"
#include "tests/support/machine.h"

// Group B: /proc and /sys of an image or a volume in place of the kernel's.
namespace caisson::cri_test {
namespace {

using ::caisson::testing::ReadFile;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr char kNotItsOwn[] = "not a directory of its own";
constexpr char kElsewhere[] = "not what this path leads to";

class ProcEscapeTest : public MountAttackTest {
 protected:
  // Asks for the usual profile where the machine has AppArmor.
  static void Confine(cri::ContainerConfig& it) {
    if (kernel::HasAppArmor()) {
      it.mutable_linux()
          ->mutable_security_context()
          ->mutable_apparmor()
          ->set_profile_type(cri::SecurityProfile::RuntimeDefault);
    }
  }

  void ExpectConfined(const std::string& container) {
    if (kernel::HasAppArmor()) {
      EXPECT_EQ(Report(container)["label"], "caisson-default (enforce)");
    }
  }

  // A container with a volume at `target` is refused.
  void ExpectRefusedAt(const std::string& image, const std::string& source,
                       const std::string& target, const std::string& text) {
    SCOPED_TRACE(absl::StrCat(source, " at ", target));
    ExpectRefused(TryImage(image,
                           [&](auto& it) {
                             Mount(it, source, target);
                             Confine(it);
                           }),
                  text);
  }

  Canary canary_;
};

CAISSON_BOTH_MODES(ProcEscapeTest);

// CVE-2019-19921: what is /proc in the image is no place for a procfs unless
// it is a directory.
TEST_P(ProcEscapeTest, B3ProcOfTheImageIsADirectoryOrRefused) {
  const std::string before = canary_.Fingerprint();
  const std::vector<Json> images = {
      Json::array({Link("proc", "/bad")}),
      Json::array({Link("proc", canary_.path())}),
      Json::array({Link("proc", absl::StrCat("../../../..", canary_.path()))}),
      Json::array({Link("proc", "proc2"), Directory("proc2")}),
      Json::array({File("proc", "x")}),
      Json::array({Link("proc", "/proc")})};
  for (const Json& members : images) {
    SCOPED_TRACE(members.dump());
    ExpectRefused(TryImage(Image(members)), kNotItsOwn);
  }
  EXPECT_EQ(canary_.Fingerprint(), before);
}

// The same by a volume, whose target is a link of the image.
TEST_P(ProcEscapeTest, B3AVolumeStandsNeitherForProcNorForTheRoot) {
  const std::string image = Image(Json::array(
      {Link("x", "/proc"), Link("y", "/"), Link("z", "proc/../proc/.")}));
  const std::string volume = Volume();
  std::ofstream(volume + "/self") << "not a procfs";
  for (const char* target : {"/x", "/y", "/z"}) {
    ExpectRefusedAt(image, volume, target, kElsewhere);
  }
}

// CVE-2023-27561, CVE-2025-54867: /sys in the same way.
TEST_P(ProcEscapeTest, B4SysOfTheImageIsADirectoryOrRefused) {
  const std::string before = canary_.Fingerprint();
  for (const Json& members :
       {Json::array({Link("sys", canary_.path())}),
        Json::array(
            {Link("sys", "sys2"), Directory("sys2"), Link("proc", "sys2")})}) {
    SCOPED_TRACE(members.dump());
    ExpectRefused(TryImage(Image(members)), kNotItsOwn);
  }
  // Below /sys nothing of the image is looked at.
  const grpc::Status status = TryImage(Image(Json::array(
      {Directory("sys/fs"), Link("sys/fs/cgroup", canary_.path())})));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(MountsInside(status.error_message()),
              ::testing::Contains(::testing::AllOf(
                  HasSubstr(" /sys/fs/cgroup "), HasSubstr(" - cgroup2 "))));
  EXPECT_EQ(canary_.Fingerprint(), before);
}

// CVE-2023-28642: a label asked for beside such a /proc.
TEST_P(ProcEscapeTest, B5NoLabelGoesToALinkedProc) {
  ExpectRefused(
      TryImage(Image(Json::array({Link("proc", "bad"), Directory("bad/self"),
                                  Directory("bad/thread-self/attr")})),
               Confine),
      kNotItsOwn);
  const std::string good = Start(OnePod(), Confine);
  EXPECT_EQ(Probe(good, {"stat", "/proc"})["inode"], 1);
  ExpectConfined(good);
}

// CVE-2019-16884, CVE-2015-3631.
TEST_P(ProcEscapeTest, B7NoVolumeHidesFilesOfProc) {
  const std::string image =
      Image(Json::array({Directory("proc/self/attr"), Directory("proc/sys"),
                         Link("x", "/proc/self/attr"), Link("s", "proc/sys")}),
            {{"Volumes", {{"/proc/self/attr", Json::object()}}}});
  const std::string volume = Volume();
  for (const char* target :
       {"/proc", "/proc/", "/proc/self", "/proc/self/attr", "/proc/1/attr/exec",
        "/proc/thread-self", "/proc/sys", "/proc/sys/kernel", "/proc/kcore",
        "/proc/./self/attr", "//proc//self", "/proc/cpuinfo/x"}) {
    ExpectRefusedAt(image, volume, target, "lies in /proc");
  }
  ExpectRefusedAt(image, volume, "//proc/./self/../self/attr", "\"..\" in it");
  ExpectRefusedAt(image, volume, "/x", kElsewhere);
  ExpectRefusedAt(image, volume, "/s", kElsewhere);
  ExpectConfined(Start(OnePod(), [&](auto& it) {
    it.mutable_image()->set_image(image);
    Confine(it);
  }));
}

// What may stand over files of /proc and below /sys does so.
TEST_P(ProcEscapeTest, B7WhatIsAllowedIsSeen) {
  const std::string volume = Volume();
  std::ofstream(volume + "/cpuinfo") << "of lxcfs\n";
  const std::string container = Start(OnePod(), [&](auto& it) {
    Mount(it, volume + "/cpuinfo", "/proc/cpuinfo").set_readonly(true);
    Mount(it, volume, "/sys/kernel");
    Confine(it);
  });
  EXPECT_EQ(Read(container, "/proc/cpuinfo"), "of lxcfs");
  EXPECT_EQ(Try(container, {"open", "/proc/cpuinfo", "w"}), "EROFS");
  EXPECT_EQ(Read(container, "/sys/kernel/cpuinfo"), "of lxcfs");
  ExpectConfined(container);
}

// CVE-2025-52881: another file of procfs in place of the label's.
TEST_P(ProcEscapeTest, B14NothingStandsInForTheLabelsFile) {
  const std::string image = Image(
      Json::array({Directory("proc/thread-self/attr/apparmor"),
                   File("proc/thread-self/attr/apparmor/exec", ""),
                   Link("exec", "/proc/thread-self/attr/apparmor/exec")}));
  for (const char* source : {"/proc/self/sched", "/proc/self/comm"}) {
    for (const char* target :
         {"/proc/self/attr/exec", "/proc/thread-self/attr/exec",
          "/proc/thread-self/attr/apparmor/exec"}) {
      ExpectRefusedAt(kProbeImage, source, target, "lies in /proc");
    }
    // Through the image's link; a procfs can't be ID-mapped besides.
    ExpectRefusedAt(image, source, "/exec",
                    OwnUsers() ? "map ids of /proc/self" : "check-volumes");
  }
  const std::string file = Volume() + "/sched";
  std::ofstream(file) << "";
  ExpectRefusedAt(image, file, "/exec", "check-volumes");
}

// The same, for what the runtime writes below /proc/sys.
TEST_P(ProcEscapeTest, B15SysctlsReachThePodAndNothingElse) {
  constexpr char kForced[] = "/proc/sys/kernel/shm_rmid_forced";
  constexpr char kRange[] = "/proc/sys/net/ipv4/ping_group_range";
  const std::string forced = ReadFile(kForced);
  const std::string range = ReadFile(kRange);
  const std::string pod = ModePod([](auto& it) {
    auto& sysctls = *it.mutable_linux()->mutable_sysctls();
    sysctls["kernel.shm_rmid_forced"] = "1";
    sysctls["net.ipv4.ping_group_range"] = "7 8";
  });
  for (const char* target : {"/proc/sys/kernel/shm_rmid_forced",
                             "/proc/sys/net/ipv4/ping_group_range"}) {
    const grpc::Status status = TryCreate(pod, [&](auto& it) {
      Mount(it, "/proc/sys/kernel/domainname", target);
    });
    ExpectRefused(status, "lies in /proc");
  }
  const std::string container = Start(pod);
  EXPECT_EQ(Read(container, kForced), "1");
  EXPECT_EQ(Read(container, kRange), "7\t8");
  EXPECT_EQ(ReadFile(kForced), forced);
  EXPECT_EQ(ReadFile(kRange), range);
}

// Nor is any of the files that the runtime writes opened by an absolute path
// before: each is below a procfs that was looked at.
TEST_P(ProcEscapeTest, B15NothingIsWrittenByAnAbsolutePath) {
  Strace strace({ForkServerOf(directory_)}, kCallsOfSetUps,
                directory_ + "/trace");
  const std::string pod = ModePod([](auto& it) {
    (*it.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1";
  });
  EXPECT_EQ(Sh(Start(pod), "true").exit_code, 0);
  const std::vector<std::string> lines = strace.End();
  const auto below = [](const std::string& path) {
    return ::testing::ContainsRegex(
        absl::StrCat("openat2\\([0-9]+, \"", path, "\".*O_WRONLY"));
  };
  // The trace does see those of the init, the exec and the pod.
  EXPECT_THAT(lines, Contains(below("self/oom_score_adj")).Times(2));
  EXPECT_THAT(lines, Contains(below("sys/kernel/shm_rmid_forced")).Times(1));
  for (const char* map : {"[0-9]+/uid_map", "[0-9]+/gid_map"}) {
    EXPECT_THAT(lines, Contains(below(map)).Times(OwnUsers() ? 1 : 0));
  }
  for (const std::string& line : lines) {
    for (const char* name : {"uid_map", "gid_map", "setgroups", "oom_score_adj",
                             "loginuid", "timens_offsets", "/attr/", "/sys/"}) {
      EXPECT_FALSE(absl::StrContains(line, "AT_FDCWD, \"/proc/") &&
                   absl::StrContains(line, name))
          << line;
    }
  }
}

// And no process that is among a container's mounts opens anything of /proc
// or /sys by a path that a mount could lead elsewhere.
TEST_P(ProcEscapeTest, B15NothingInsideIsOpenedByAnAbsolutePath) {
  Strace strace({ForkServerOf(directory_)}, kCallsOfSetUps,
                directory_ + "/trace");
  const std::string container = Start(ModePod(), [](auto& it) { Confine(it); });
  EXPECT_EQ(Sh(container, "true").exit_code, 0);
  const std::vector<std::string> inside = OpensInside(strace.End());
  // The trace does see what init and the exec open.
  EXPECT_THAT(inside, Contains(HasSubstr("uid_map")).Times(OwnUsers() ? 1 : 0));
  EXPECT_THAT(inside, Contains(HasSubstr("\"/dev/null\"")));
  for (const std::string& line : inside) {
    EXPECT_FALSE(absl::StrContains(line, "AT_FDCWD, \"/proc")) << line;
    EXPECT_FALSE(absl::StrContains(line, "AT_FDCWD, \"/sys")) << line;
  }
}

}  // namespace
}  // namespace caisson::cri_test
