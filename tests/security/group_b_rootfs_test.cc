#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/security/mount_attack.h"
#include "tests/support/machine.h"

// Group B: what the runtime writes into a root, and how it removes one.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::ReadFile;
using ::caisson::testing::Shell;
using ::caisson::testing::ShellOutput;
using ::testing::HasSubstr;

class RootfsEscapeTest : public MountAttackTest {
 protected:
  void SetUp() override {
    MountAttackTest::SetUp();
    before_ = canary_.Fingerprint();
  }

  void TearDown() override {
    MountAttackTest::TearDown();
    EXPECT_EQ(canary_.Fingerprint(), before_);
  }

  // `path` as seen from far below the root.
  std::string Climbing() const {
    return absl::StrCat("../../../../..", canary_.path());
  }

  // Nothing at or below `path` inside is the host's or the canary's.
  void ExpectNothingOfTheHost(const std::string& container,
                              const std::string& path) {
    EXPECT_FALSE(IsOfTheHost(container, path));
    EXPECT_NE(Read(container, path + "/marker"), canary_.secret());
    EXPECT_NE(Read(container, path + canary_.path() + "/marker"),
              canary_.secret());
  }

  // A container's directory of ours.
  std::string HomeOf(const std::string& container) const {
    return absl::StrCat(config_.root, "/containers/", container);
  }

  grpc::Status TryStart(const std::string& container) {
    cri::StartContainerRequest request;
    request.set_container_id(container);
    cri::StartContainerResponse response;
    return Call(&cri::RuntimeService::Stub::StartContainer, request, response);
  }

  void Stop(const std::string& container) {
    cri::StopContainerRequest request;
    request.set_container_id(container);
    cri::StopContainerResponse response;
    EXPECT_TRUE(
        Call(&cri::RuntimeService::Stub::StopContainer, request, response)
            .ok());
  }

  Canary canary_;
  std::string before_;
};

CAISSON_BOTH_MODES(RootfsEscapeTest);

// CVE-2024-5154: /etc of the image leads elsewhere.
TEST_P(RootfsEscapeTest, B19FilesOfEtcAreWrittenInsideOnly) {
  for (const std::string& target : {canary_.path(), Climbing()}) {
    const grpc::Status status =
        TryImage(Image(Json::array({Link("etc", target)})));
    ASSERT_TRUE(status.ok()) << status.error_message();
    const std::string& id = status.error_message();
    EXPECT_THAT(Read(id, canary_.path() + "/hosts"), HasSubstr("localhost"));
    EXPECT_THAT(Read(id, "/etc/hosts"), HasSubstr("localhost"));
    EXPECT_EQ(Read(id, "/etc/marker"), "<ENOENT>");
  }
  // With the same path inside, that is where the files are.
  const std::string inside = canary_.path().substr(1);
  const grpc::Status status = TryImage(
      Image(Json::array({Directory(inside), Link("etc", Climbing()),
                         Link(inside + "/mtab", canary_.path() + "/marker")})));
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::string& id = status.error_message();
  EXPECT_THAT(Read(id, canary_.path() + "/hosts"), HasSubstr("localhost"));
  EXPECT_EQ(Read(id, "/etc/mtab"), "<ENOENT>");
  for (const Json& mtab : {Directory("etc/mtab"), Link("etc/mtab", "gone"),
                           Json{{"name", "etc/mtab"}, {"type", "fifo"}}}) {
    const grpc::Status any = TryImage(Image(Json::array({mtab})));
    EXPECT_TRUE(any.ok()) << any.error_message();
  }
}

// CVE-2026-55686: the working directory, which is made when it is absent.
TEST_P(RootfsEscapeTest, B20TheWorkingDirectoryIsMadeInside) {
  const std::string breakout = canary_.path() + "/BREAKOUT";
  const std::string tail = breakout.substr(std::string("/var").size());

  struct Attack {
    Json members;
    std::string directory;
  };

  const std::vector<Attack> attacks = {
      {Json::array({Link("symlink", "../../../../../../../var")}),
       "/symlink" + tail},
      {Json::array({Directory("0/a/b"), Link("0/symlink1", "a/b"),
                    Link("0/symlink2", "/"), Link("symlink2", "../../..")}),
       "/0/symlink1/../../symlink2" + breakout},
      {Json::array({Link("out", canary_.path())}), "/out/BREAKOUT"}};
  for (const Attack& attack : attacks) {
    SCOPED_TRACE(attack.directory);
    const grpc::Status status = TryImage(Image(
        attack.members, {{"WorkingDir", attack.directory}, {"User", "1234"}}));
    if (status.ok()) {
      const std::string cwd = ShellOutput(absl::StrCat(
          "readlink /proc/", PidOf(status.error_message()), "/cwd"));
      EXPECT_TRUE(absl::EndsWith(cwd, "BREAKOUT")) << cwd;
      EXPECT_EQ(Probe(status.error_message(), {"stat", cwd})["type"], S_IFDIR);
    } else {
      EXPECT_THAT(status.error_message(), HasSubstr("enter-working-directory"));
    }
    EXPECT_FALSE(fs::exists(breakout));
  }
}

// CVE-2024-9341: nothing is mounted that was not asked for.
TEST_P(RootfsEscapeTest, B21NothingIsMountedOfItself) {
  const std::vector<Json> images = {
      Json::array({Link("run/secrets", "/"), Directory("etc/crypto-policies"),
                   Link("etc/crypto-policies/back-ends", "/"),
                   File("etc/system-fips", "")}),
      Json::array({Link("run/secrets", canary_.path()),
                   Link("etc/crypto-policies", canary_.path())}),
      Json::array({Link("run", "/"), Link("secrets", canary_.path())})};
  for (const Json& members : images) {
    const grpc::Status status = TryImage(Image(members));
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const char* path :
         {"/run/secrets", "/run", "/etc/crypto-policies/back-ends"}) {
      ExpectNothingOfTheHost(status.error_message(), path);
    }
    for (const std::string& mount : MountsInside(status.error_message())) {
      EXPECT_FALSE(absl::StrContains(mount, "secrets")) << mount;
      EXPECT_FALSE(absl::StrContains(mount, "crypto")) << mount;
      EXPECT_FALSE(absl::StrContains(mount, "fips")) << mount;
    }
  }
}

// CVE-2025-24965: a link at every name that a runtime writes.
TEST_P(RootfsEscapeTest, B22LinksAtTheNamesWeWriteLeadNowhere) {
  const std::string marker = canary_.path() + "/marker";
  Json members = Json::array();
  for (const char* name : {"etc/hosts",
                           "etc/hostname",
                           "etc/resolv.conf",
                           "etc/mtab",
                           "run/.containerenv",
                           ".dockerenv",
                           "dev/termination-log",
                           "termination-log",
                           "dev/null",
                           "dev/console",
                           "dev/ptmx",
                           "dev/shm",
                           "dev/mqueue",
                           "dev/pts",
                           "sys/fs",
                           "proc/self",
                           "etc/passwd",
                           "etc/group",
                           ".krun_config.json",
                           "work"}) {
    members.push_back(Link(name, marker));
  }
  const auto edit = [&](cri::ContainerConfig& it) {
    const std::string log = directory_ + "/termination-log";
    std::ofstream(log) << "";
    Mount(it, log, "/termination-log");
    it.set_working_dir("/work");
  };
  // Three files of ours would be one that is made inside.
  ExpectRefused(TryImage(Image(members), edit), "check-volumes");
  // The same with such a file of the image.
  members.push_back(File(marker.substr(1), "inside"));
  ExpectRefused(TryImage(Image(members), edit), "check-volumes");
  // And with a file for each: they are covered inside.
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    const std::string file = absl::StrCat(canary_.path(), "/", name);
    members.push_back(Link(absl::StrCat("etc/", name), file));
    members.push_back(File(file.substr(1), "inside"));
  }
  const grpc::Status status = TryImage(Image(members));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(Read(status.error_message(), canary_.path() + "/hosts"),
              HasSubstr("localhost"));
  EXPECT_EQ(Read(status.error_message(), marker), "inside");
}

// CVE-2026-41568, CVE-2026-42306: what is asked about a running container
// looks at none of its files.
TEST_P(RootfsEscapeTest, B23NothingIsDoneInALiveRoot) {
  const std::string v = Volume();
  const std::string id = Start(OnePod(), [&](auto& it) {
    Mount(it, v, "/v");
    it.mutable_command()->Clear();
    for (const std::string& word :
         {std::string("/bin/busybox"), std::string("sh"), std::string("-c"),
          absl::StrCat("for n in data tmp2 v/x; do ln -s ", canary_.path(),
                       " /$n; done; while :; do rm -rf /etc /run; ln -s ",
                       canary_.path(), " /etc; ln -s ", canary_.path(),
                       " /run; rm /etc /run; mkdir /etc /run; done")}) {
      it.add_command(word);
    }
  });
  for (int i = 0; i < Tries(20); ++i) {
    cri::ContainerStatsRequest stats;
    stats.set_container_id(id);
    cri::ContainerStatsResponse answer;
    EXPECT_TRUE(
        Call(&cri::RuntimeService::Stub::ContainerStats, stats, answer).ok());
    cri::ListContainerStatsResponse all;
    EXPECT_TRUE(
        Call(&cri::RuntimeService::Stub::ListContainerStats, {}, all).ok());
    EXPECT_GT(PidOf(id), 0);
    cri::UpdateContainerResourcesRequest update;
    update.set_container_id(id);
    update.mutable_linux()->set_cpu_shares(512 + i);
    cri::UpdateContainerResourcesResponse updated;
    EXPECT_TRUE(Call(&cri::RuntimeService::Stub::UpdateContainerResources,
                     update, updated)
                    .ok());
    EXPECT_EQ(Sh(id, "true").exit_code, 0);
    EXPECT_EQ(canary_.Fingerprint(), before_);
  }
}

// CVE-2015-3629: no second start sees what the first left in its root.
TEST_P(RootfsEscapeTest, B25AUsedRootIsNotUsedAgain) {
  const std::string v = Volume();
  const auto edit = [&](cri::ContainerConfig& it) {
    it.mutable_metadata()->set_name("again");
    Mount(it, v, "/data");
  };
  const std::string first = Start(OnePod(), edit);
  // Its own mount target and the directories of the runtime, in the root
  // below the mounts, and in the volume, which stays.
  const std::string upper = HomeOf(first) + "/upper";
  ASSERT_TRUE(fs::exists(upper + "/data"));
  Sh(first,
     absl::StrCat("ln -s ", canary_.path(),
                  " /data/sub; mv /etc /old; "
                  "ln -s ",
                  canary_.path(), " /etc; ln -s ", canary_.path(), " /new"));
  Stop(first);
  ExpectRefused(TryStart(first), "it was started before, or has ended");
  for (const char* name : {"data", "proc", "dev", "etc"}) {
    std::error_code error;
    fs::remove_all(absl::StrCat(upper, "/", name), error);
    fs::create_symlink(canary_.path(), absl::StrCat(upper, "/", name), error);
  }
  ExpectRefused(TryStart(first), "it was started before, or has ended");
  const std::string second = Start(OnePod(), [&](auto& it) {
    edit(it);
    it.mutable_metadata()->set_attempt(1);
  });
  EXPECT_EQ(Read(second, "/new/marker"), "<ENOENT>");
  EXPECT_EQ(Read(second, "/data/sub/marker"), "<ENOENT>");
  EXPECT_THAT(Read(second, "/etc/passwd"), HasSubstr("root:"));
  // What is left in the volume is a target of the next one: inside only.
  const std::string third = Start(OnePod(), [&](auto& it) {
    Mount(it, v, "/data");
    Mount(it, v, "/data/sub");
  });
  EXPECT_EQ(Read(third, "/data/sub/marker"), "<ENOENT>");
  EXPECT_EQ(Probe(third, {"stat", canary_.path()})["inode"],
            Probe(third, {"stat", "/data"})["inode"]);
}

// CVE-2024-23652, CVE-2017-1002102: removal follows no link.
TEST_P(RootfsEscapeTest, B26RemovalFollowsNoLink) {
  const std::string v = Volume();
  const std::string id =
      Start(OnePod(), [&](auto& it) { Mount(it, v, "/mnt/stub"); });
  EXPECT_EQ(Sh(id, absl::StrCat("mkdir -p /a/b && ln -s ", canary_.path(),
                                " /a/b/l && ln -s ", canary_.path(), " /mnt/l"))
                .exit_code,
            0);
  Stop(id);
  const std::string upper = HomeOf(id) + "/upper";
  std::error_code error;
  fs::remove_all(upper + "/mnt", error);
  fs::create_symlink(canary_.path(), upper + "/mnt");
  RemoveContainer(id);
  EXPECT_FALSE(fs::exists(HomeOf(id)));
  EXPECT_EQ(canary_.Fingerprint(), before_);
}

// Nor does it enter what is mounted there: that stays where it was moved to.
TEST_P(RootfsEscapeTest, B26RemovalStopsAtAMount) {
  const std::string id = Start(OnePod());
  const std::string left = HomeOf(id) + "/upper/left";
  fs::create_directory(left);
  ASSERT_EQ(
      mount(canary_.path().c_str(), left.c_str(), nullptr, MS_BIND, nullptr),
      0);
  RemoveContainer(id);
  EXPECT_FALSE(fs::exists(HomeOf(id)));
  const std::string kept = config_.root + "/trash/";
  const std::string moved = ShellOutput(absl::StrCat(
      "cut -d' ' -f5 /proc/self/mountinfo | grep -x '", kept, ".*/left'"));
  EXPECT_THAT(moved, ::testing::StartsWith(kept));
  EXPECT_EQ(canary_.Fingerprint(), before_);
  ASSERT_EQ(umount2(moved.c_str(), MNT_DETACH), 0) << moved;
}

// CVE-2022-23648: a volume that the image declares has nothing of the host.
TEST_P(RootfsEscapeTest, B27DeclaredVolumesHaveNothingOfTheHost) {
  const auto search = [&](const std::string& id) {
    return Sh(id, absl::StrCat("find / -name marker -not -path '/proc/*' "
                               "2>/dev/null | xargs grep -lF ",
                               canary_.secret(), " /dev/null"))
        .text;
  };
  const std::string climbing =
      absl::StrCat("/../../../../../..", canary_.path());
  // Together where nothing of the host is in the name itself.
  for (const std::vector<std::string>& volumes :
       {std::vector<std::string>{climbing},
        {"/a/../..", "..", "v"},
        {"/v", "/v/empty"},
        {"/w", "/deep/v"}}) {
    SCOPED_TRACE(volumes[0]);
    Json declared = Json::object();
    for (const std::string& volume : volumes) {
      declared[volume] = Json::object();
    }
    const grpc::Status status = TryImage(
        Image(Json::array({Link("v", "/"), Link("w", canary_.path()),
                           Directory("deep"), Link("deep/v", Climbing())}),
              {{"Volumes", declared}}));
    if (status.ok()) {
      EXPECT_EQ(search(status.error_message()), "");
      ExpectNothingOfTheHost(status.error_message(), "/v");
      ExpectNothingOfTheHost(status.error_message(), "/w");
    }
  }
  // The search finds what is there.
  const std::string there = Start(OnePod(), [&](auto& it) {
    Mount(it, canary_.path(), "/there").set_readonly(true);
  });
  EXPECT_THAT(search(there), HasSubstr("/there/marker"));
}

// CVE-2020-1726: content of the image is not copied over a volume's.
TEST_P(RootfsEscapeTest, B28AVolumesFilesStayAsTheyWere) {
  const std::string image =
      Image(Json::array({File("data/file", "image"), File("data/more", "m")}),
            {{"Volumes", {{"/data", Json::object()}}}});
  const std::string v = Volume();
  std::ofstream(v + "/file") << "volume";
  const std::string find =
      absl::StrCat("find ", v, " -printf '%P|%y|%m|%U:%G|%s|%T@|%C@\\n'");
  const std::string was = ShellOutput(find);
  for (const bool read_only : {false, true}) {
    const grpc::Status status = TryImage(image, [&](auto& it) {
      Mount(it, v, "/data").set_readonly(read_only);
    });
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(Read(status.error_message(), "/data/file"), "volume");
    EXPECT_EQ(Read(status.error_message(), "/data/more"), "<ENOENT>");
  }
  EXPECT_EQ(ShellOutput(find), was);
}

}  // namespace
}  // namespace caisson::cri_test
