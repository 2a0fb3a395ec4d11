#include <gmock/gmock.h>
#include <sys/xattr.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/security/mount_attack.h"
#include "tests/support/machine.h"

// Group B: the resolution of paths itself, and labels of files.
namespace caisson::cri_test {
namespace {

using ::caisson::testing::Shell;
using ::caisson::testing::ShellOutput;
using ::testing::HasSubstr;

class ResolveEscapeTest : public MountAttackTest {};

CAISSON_BOTH_MODES(ResolveEscapeTest);

// Links that together are longer than a path may be, and loops.
Json Chains() {
  const std::string wide(255, 'w');
  Json members = Json::array(
      {Directory(wide), Link("loop1", "loop2"), Link("loop2", "/loop1"),
       Link("wide", absl::StrCat(wide, "/../", wide, "/../", wide))});
  // Each step is ten long components more: 40 of them are over 100 000 bytes.
  std::string long_step;
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&long_step, wide, "/..//");
  }
  for (int i = 0; i < 60; ++i) {
    members.push_back(Link(absl::StrCat("chain", i),
                           absl::StrCat(long_step, "chain", i + 1)));
  }
  members.push_back(Link("chain60", absl::StrCat(long_step, "../..")));
  return members;
}

// crun's chroot_realpath.
TEST_P(ResolveEscapeTest, B32ChainsOfLinksEndInAnError) {
  const Canary canary;
  const std::string before = canary.Fingerprint();
  const std::string image = Image(
      Chains(),
      {{"Volumes", {{"/chain0", Json::object()}, {"/loop1", Json::object()}}}});
  const std::string volume = Volume();
  for (const char* path : {"/loop1", "/loop1/x", "/chain0", "/chain0/x"}) {
    SCOPED_TRACE(path);
    const grpc::Status target =
        TryImage(image, [&](auto& it) { Mount(it, volume, path); });
    EXPECT_FALSE(target.ok());
    EXPECT_THAT(target.error_message(), HasSubstr("mount-volumes"));
    const grpc::Status directory =
        TryImage(image, [&](auto& it) { it.set_working_dir(path); });
    EXPECT_FALSE(directory.ok());
    EXPECT_THAT(directory.error_message(),
                HasSubstr("enter-working-directory"));
  }
  // 20 links are within the kernel's 40: they lead to the root, and beyond it
  // is the root.
  const grpc::Status end = TryImage(image, [&](auto& it) {
    it.set_working_dir("/chain41" + canary.path() + "/deep");
  });
  EXPECT_TRUE(end.ok()) << end.error_message();
  const grpc::Status wide = TryImage(image, [&](auto& it) {
    Mount(it, volume, "/wide//sub/");
    it.set_working_dir(absl::StrCat("/", std::string(255, 'n'), "///x/"));
  });
  EXPECT_TRUE(wide.ok()) << wide.error_message();
  const grpc::Status too_wide = TryImage(image, [](auto& it) {
    it.set_working_dir(absl::StrCat("/", std::string(256, 'n')));
  });
  EXPECT_THAT(too_wide.error_message(), HasSubstr("enter-working-directory"));
  EXPECT_EQ(canary.Fingerprint(), before);
  EXPECT_NE(Start(OnePod()), "");
}

// There is no other way of resolving a path: where openat2(2) is missing or
// forbidden no container is made.
TEST_P(ResolveEscapeTest, B32WithoutOpenat2NothingStarts) {
  const std::string handler = OwnUsers() ? "" : "--handler caisson-requested ";
  for (const char* error : {"ENOSYS", "EPERM", "none"}) {
    SCOPED_TRACE(error);
    const std::string output = ShellOutput(absl::StrCat(
        "python3 tests/support/without_openat2.py ", error,
        " env -u CAISSON_TEST_DIR hack/with_caissond.sh -- ", CAISSON_BIN_DIR,
        "/caissonctl run ", handler, kImage, " -- echo it runs 2>&1"));
    const bool runs = std::string(error) == "none";
    EXPECT_EQ(absl::StrContains(output, "it runs"), runs) << output;
    EXPECT_EQ(absl::StrContains(output, "open "), !runs) << output;
  }
}

// CVE-2021-43816: neither what is mounted over files of ours nor what is asked
// to be relabelled is.
TEST_P(ResolveEscapeTest, B33NothingIsRelabelled) {
  const Canary canary;
  const std::string marker = canary.path() + "/marker";
  // Any label serves to see a change.
  ASSERT_EQ(setxattr(marker.c_str(), "security.selinux", "was", 3, 0), 0);
  ASSERT_EQ(setxattr(canary.path().c_str(), "security.selinux", "was", 3, 0),
            0);
  const std::string labels =
      absl::StrCat("getfattr --absolute-names -dhm - ", canary.path(), " ",
                   marker, " ", canary.path(), "/empty");
  const std::string was = ShellOutput(labels);
  const std::string before = canary.Fingerprint();
  EXPECT_THAT(was, HasSubstr("security.selinux=\"was\""));
  for (const bool relabel : {false, true}) {
    const std::string id = Start(OnePod(), [&](auto& it) {
      for (const char* path : {"/etc/hosts", "/etc/hostname",
                               "/etc/resolv.conf", "/dev/termination-log"}) {
        Mount(it, marker, path).set_selinux_relabel(relabel);
      }
      Mount(it, canary.path(), "/dev/shm").set_selinux_relabel(relabel);
      Mount(it, canary.path() + "/empty", "/e").set_selinux_relabel(relabel);
    });
    EXPECT_EQ(Read(id, "/etc/hosts"), canary.secret());
    EXPECT_EQ(ShellOutput(labels), was);
    // A label that is set again changes the time of the inode.
    EXPECT_EQ(canary.Fingerprint(), before);
  }
}

}  // namespace
}  // namespace caisson::cri_test
