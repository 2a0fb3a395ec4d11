#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/security/mount_attack.h"
#include "tests/support/machine.h"

// Group B: volumes whose paths another container exchanges, and what mounts
// let through.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::Shell;
using ::caisson::testing::ShellOutput;
using ::testing::HasSubstr;

class MountEscapeTest : public MountAttackTest {
 protected:
  // What a volume of the pod's own is for the kubelet.
  std::string PodVolume(const std::string& uid) {
    const std::string volume = absl::StrCat(
        Volume(), "/pods/", uid, "/volumes/kubernetes.io~empty-dir/v");
    fs::create_directories(volume + "/sub");
    std::ofstream(volume + "/sub/own") << "own";
    return volume;
  }

  // A submount of tmpfs, gone with its directory's test.
  void MountTmpfs(const std::string& path) {
    fs::create_directories(path);
    ASSERT_EQ(mount("tmpfs", path.c_str(), "tmpfs", 0, "size=1m,mode=777"), 0);
    mounted_.push_back(path);
  }

  void TearDown() override {
    for (auto path = mounted_.rbegin(); path != mounted_.rend(); ++path) {
      umount2(path->c_str(), MNT_DETACH);
    }
    MountAttackTest::TearDown();
  }

  Canary canary_;
  std::vector<std::string> mounted_;
};

CAISSON_BOTH_MODES(MountEscapeTest);

// CVE-2021-30465, CVE-2015-1335.
TEST_P(MountEscapeTest, B1NoExchangedTargetLeadsOutside) {
  const std::string v = Volume();
  const std::string w = Volume();
  fs::create_directories(v + "/mnt/zzz");
  fs::create_directory(w + "/zzz");
  fs::create_symlink(canary_.path(), v + "/lnk");
  const std::string before = canary_.Fingerprint();
  const std::vector<std::string> mounts = HostMounts(canary_.path());
  int started = 0;
  const Exchanger attack(v + "/mnt", v + "/lnk");
  for (int i = 0; i < Tries(60); ++i) {
    const grpc::Status status = TryCreate(OnePod(), [&](auto& it) {
      Mount(it, v, "/test1");
      Mount(it, w, "/test1/mnt");
      Mount(it, w, "/test1/mnt/zzz");
    });
    EXPECT_EQ(HostMounts(canary_.path()), mounts);
    if (!status.ok()) {
      continue;
    }
    ++started;
    for (const char* path : {"/test1/mnt", "/test1/lnk", "/test1/mnt/zzz"}) {
      EXPECT_FALSE(IsOfTheHost(status.error_message(), path)) << path;
      EXPECT_EQ(Read(status.error_message(), absl::StrCat(path, "/marker")),
                "<ENOENT>");
    }
    RemoveContainer(status.error_message());
  }
  EXPECT_GT(started, 0);
  EXPECT_EQ(canary_.Fingerprint(), before);
}

// CVE-2024-45310.
TEST_P(MountEscapeTest, B2NothingIsCreatedBehindAnExchangedPath) {
  const std::string v = Volume();
  const std::string w = Volume();
  std::ofstream(w + "/file") << "w";
  fs::create_directories(v + "/a");
  fs::create_symlink(canary_.path(), v + "/lnk");
  const std::string before = canary_.Fingerprint();
  int started = 0;
  const Exchanger attack(v + "/a", v + "/lnk");
  for (int i = 0; i < Tries(60); ++i) {
    const grpc::Status status = TryCreate(OnePod(), [&](auto& it) {
      Mount(it, v, "/vol");
      Mount(it, w, absl::StrCat("/vol/a/b", i, "/c/d"));
      Mount(it, w + "/file", absl::StrCat("/vol/a/f", i));
    });
    if (status.ok()) {
      ++started;
      RemoveContainer(status.error_message());
    }
  }
  EXPECT_GT(started, 0);
  EXPECT_EQ(canary_.Fingerprint(), before);
}

// GHSA-3q8j-pf29-vwv8: the file that is read-only or masked is the file that
// was found there, whoever exchanges its name meanwhile.
TEST_P(MountEscapeTest, B11PathsAreResolvedOnce) {
  const std::string v = Volume();
  fs::create_directories(v + "/p");
  fs::create_directories(v + "/q");
  std::ofstream(v + "/p/name") << "p";
  std::ofstream(v + "/q/name") << "q";
  Shell(absl::StrCat("chmod -R a+rwX ", v));
  for (int i = 0; i < Tries(40); ++i) {
    std::string id;
    {
      const Exchanger attack(v + "/p", v + "/q");
      id = Start(OnePod(), [&](auto& it) {
        Mount(it, v, "/v");
        auto& security = *it.mutable_linux()->mutable_security_context();
        security.add_readonly_paths("/v/p");
      });
    }
    // Where a mount stands, the names inside are of one and the same
    // directory: what was cloned is what was covered.
    int covered = 0;
    for (const char* name : {"p", "q"}) {
      const std::string path = absl::StrCat("/v/", name);
      const std::string host =
          ShellOutput(absl::StrCat("cat ", v, "/", name, "/name"));
      EXPECT_EQ(Read(id, path + "/name"), host);
      covered += Try(id, {"open", path + "/name", "w"}) == "EROFS" ? 1 : 0;
    }
    EXPECT_EQ(covered, 1);
    RemoveContainer(id);
  }
}

// The same for masks: one of the two is empty, and nothing else is.
TEST_P(MountEscapeTest, B11MasksStandOnOnePath) {
  const std::string v = Volume();
  fs::create_directories(v + "/m");
  fs::create_symlink("/etc", v + "/lnk");
  std::ofstream(v + "/m/name") << "m";
  const int usual = static_cast<int>(
      MountsInside(Start(OnePod(), [&](auto& it) {
        Mount(it, v, "/v");
        it.mutable_linux()->mutable_security_context()->add_readonly_paths(
            "/proc/sys");
      })).size());
  for (int i = 0; i < Tries(30); ++i) {
    std::string id;
    {
      const Exchanger attack(v + "/m", v + "/lnk");
      id = Start(OnePod(), [&](auto& it) {
        Mount(it, v, "/v");
        auto& security = *it.mutable_linux()->mutable_security_context();
        security.add_readonly_paths("/proc/sys");
        security.add_masked_paths("/v/m");
      });
    }
    EXPECT_EQ(static_cast<int>(MountsInside(id).size()), usual + 1);
    const bool etc = Read(id, "/etc/passwd") == "<ENOENT>";
    const bool m = Sh(id, "cat /v/m/name /v/lnk/name").text.empty();
    EXPECT_NE(etc, m);
    RemoveContainer(id);
  }
}

// And it is of the kind of what it hides: a file takes no directory's mask, so
// that a path that is looked at twice is found out.
TEST_P(MountEscapeTest, B11MasksAreOfWhatWasFound) {
  const std::string v = Volume();
  fs::create_directories(v + "/m");
  std::ofstream(v + "/m/name") << "m";
  std::ofstream(v + "/f") << "f";
  Shell(absl::StrCat("chmod -R a+rwX ", v));
  for (int i = 0; i < Tries(30); ++i) {
    std::string id;
    {
      const Exchanger attack(v + "/m", v + "/f");
      id = Start(OnePod(), [&](auto& it) {
        Mount(it, v, "/v");
        it.mutable_linux()->mutable_security_context()->add_masked_paths(
            "/v/m");
      });
    }
    ASSERT_NE(id, "") << "after " << i;
    const bool exchanged = fs::is_directory(v + "/f");
    const std::string directory = exchanged ? "/v/f" : "/v/m";
    const std::string file = exchanged ? "/v/m" : "/v/f";
    const bool nothing_listed = Sh(id, "ls " + directory).text.empty();
    const bool nothing_read = Sh(id, "cat " + file).text.empty();
    EXPECT_NE(nothing_listed, nothing_read);
    RemoveContainer(id);
  }
}

// CVE-2017-1002101, CVE-2021-25741: below the pod's own directory no link is
// followed to a source.
TEST_P(MountEscapeTest, B29NoExchangedSourceLeadsOutside) {
  const std::string pod =
      ModePod([](auto& it) { it.mutable_metadata()->set_uid("uid-of-b29"); });
  const std::string v = PodVolume("uid-of-b29");
  fs::create_symlink(canary_.path(), v + "/lnk");
  const auto mounted = [&](const std::string& source) {
    return TryCreate(pod, [&](auto& it) {
      Mount(it, source, "/m");
      Mount(it, v, "/v");
    });
  };
  for (const char* source : {"/lnk", "/lnk/empty", "/lnk/.", "/./lnk/"}) {
    ExpectRefused(mounted(v + source), "there is a link in it");
  }
  int started = 0;
  const Exchanger attack(v + "/sub", v + "/lnk");
  for (int i = 0; i < Tries(60); ++i) {
    const grpc::Status status = mounted(v + "/sub");
    if (!status.ok()) {
      EXPECT_THAT(status.error_message(), HasSubstr("there is a link in it"));
      continue;
    }
    ++started;
    EXPECT_EQ(Read(status.error_message(), "/m/own"), "own");
    EXPECT_EQ(Read(status.error_message(), "/m/marker"), "<ENOENT>");
    RemoveContainer(status.error_message());
  }
  EXPECT_GT(started, 0);
}

// What the node's operator or the kubelet names is taken as it is: a link of
// the host, and a file that a process holds, whose name means another one now.
TEST_P(MountEscapeTest, B29APinnedSourceIsThePinnedFile) {
  const std::string v = Volume();
  fs::create_directory(v + "/sub");
  std::ofstream(v + "/sub/own") << "pinned";
  const int fd = open((v + "/sub").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  fs::rename(v + "/sub", v + "/old");
  fs::create_symlink(canary_.path(), v + "/sub");
  const std::string id = Start(OnePod(), [&](auto& it) {
    Mount(it, absl::StrCat("/proc/", getpid(), "/fd/", fd), "/pinned");
    Mount(it, v + "/sub", "/link");
  });
  close(fd);
  EXPECT_EQ(Read(id, "/pinned/own"), "pinned");
  EXPECT_EQ(Read(id, "/pinned/marker"), "<ENOENT>");
  // The probe would see it.
  EXPECT_EQ(Read(id, "/link/marker"), canary_.secret());
}

// containers/crun#2059: no mount of a container is a peer of one of the host.
TEST_P(MountEscapeTest, B30NoMountIsShared) {
  const std::string v = Volume();
  ASSERT_EQ(mount(v.c_str(), v.c_str(), nullptr, MS_BIND, nullptr), 0);
  mounted_.push_back(v);
  ASSERT_EQ(mount(nullptr, v.c_str(), nullptr, MS_SHARED, nullptr), 0);
  MountTmpfs(v + "/sub");
  const std::vector<std::string> before = HostMounts(v);
  const std::string id = Start(OnePod(), [&](auto& it) {
    Mount(it, v, "/bind");
    Mount(it, v, "/readonly").set_readonly(true);
    Mount(it, v + "/sub", "/bind/below");
    cri::Device& device = *it.add_devices();
    device.set_host_path("/dev/full");
    device.set_container_path("/dev/mine");
    device.set_permissions("r");
    auto& security = *it.mutable_linux()->mutable_security_context();
    security.mutable_capabilities()->add_add_capabilities("SYS_ADMIN");
    security.add_masked_paths("/bind/sub");
    security.add_readonly_paths("/etc");
  });
  for (const std::string& line : MountsInside(id)) {
    EXPECT_FALSE(absl::StrContains(line, " shared:")) << line;
    EXPECT_FALSE(absl::StrContains(line, " master:")) << line;
  }
  // And indeed: what is mounted inside stays there.
  EXPECT_EQ(Sh(id,
               "mkdir /bind/new && mount -t tmpfs inside /bind/new && "
               "mount | grep -c inside")
                .text,
            "1\n");
  EXPECT_EQ(HostMounts(v), before);
  RemoveContainer(id);
  EXPECT_EQ(HostMounts(v), before);
}

// youki#3345: what is asked to be read-only with its submounts is.
TEST_P(MountEscapeTest, B31ReadOnlyReachesSubmountsWhenAsked) {
  const std::string v = Volume();
  MountTmpfs(v + "/sub");
  MountTmpfs(v + "/sub/deep");
  const auto with = [&](bool recursive) {
    return Start(OnePod(), [&](auto& it) {
      cri::Mount& mount = Mount(it, v, "/v");
      mount.set_readonly(true);
      mount.set_recursive_read_only(recursive);
    });
  };
  const std::string plain = with(false);
  EXPECT_EQ(Try(plain, {"write", "/v/x", "x"}), "EROFS");
  EXPECT_EQ(Try(plain, {"write", "/v/sub/x", "x"}), "OK");
  const std::string all = with(true);
  for (const char* path : {"/v/x", "/v/sub/x", "/v/sub/deep/x"}) {
    EXPECT_EQ(Try(all, {"write", path, "x"}), "EROFS") << path;
  }
  // No part of it is granted instead of the whole.
  ExpectRefused(TryCreate(OnePod(),
                          [&](auto& it) {
                            cri::Mount& mount = Mount(it, v, "/v");
                            mount.set_recursive_read_only(true);
                          }),
                "recursive_read_only");
}

}  // namespace
}  // namespace caisson::cri_test
