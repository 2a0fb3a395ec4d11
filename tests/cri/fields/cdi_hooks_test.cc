#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/cri/fields/cdi_fixture.h"
#include "tests/cri/fields/shared_tree.h"

// CDI_devices: the hooks of a spec.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kPath[] = "  env: [\"PATH=/usr/sbin:/usr/bin:/sbin:/bin\"]\n";

// Its three, and what the shell has for the script and its output: what begins
// with `own`.
void ExpectFds(const std::string& dumped, const std::string& own) {
  const std::vector<std::string> fds =
      absl::StrSplit(dumped, '\n', absl::SkipEmpty());
  EXPECT_GE(fds.size(), 3u);
  for (const std::string& fd : fds) {
    EXPECT_THAT(fd, testing::AnyOf(HasSubstr("/memfd:input"),
                                   testing::StartsWith("pipe:["),
                                   testing::StartsWith(own)));
  }
}

// Hooks that run with the files of the host.
class HostHooksTest : public CdiFieldsTest {
 protected:
  // Starts a container of an image and a request that name libraries to load,
  // with a hook that tells what it has and then runs `script`; its id.
  std::string StartHostile(const char* moment, const std::string& script) {
    constexpr char kHostile[] = "docker.io/library/caisson-hostile-env:latest";
    Pull(kHostile);
    Spec("hooks:\n" + Hook(moment, R"(/bin/cat >DIR/state
/bin/cat /proc/$$/environ >DIR/env
pwd -P >DIR/cwd
for fd in /proc/$$/fd/*; do /bin/readlink $fd; done >DIR/fds
)" + script,
                           "  env: [CARD_HOOK=1]\n"));
    return Start(Pod(), [&](auto& it) {
      Ask(it);
      it.mutable_image()->set_image(kHostile);
      cri::KeyValue& env = *it.add_envs();
      env.set_key("LD_AUDIT");
      env.set_value("./x.so");
    });
  }

  // What the hook of StartHostile() has is its own; the state it got.
  Json ExpectNothingOfTheImage(const std::string& container) {
    EXPECT_EQ(Dumped("env"), std::string("CARD_HOOK=1\0", 12));
    EXPECT_EQ(Dumped("cwd"), "/\n");
    ExpectFds(Dumped("fds"), directory_ + "/hooks/");
    Json state = Json::parse(Dumped("state"), nullptr, false);
    EXPECT_FALSE(state.is_discarded());
    EXPECT_EQ(state["id"], container);
    EXPECT_EQ(state["status"], "creating");
    return state;
  }
};

// Hooks of the host get nothing from an image (CVE-2025-23266).
TEST_F(HostHooksTest, HaveTheirOwnEnvironmentAndNoFiles) {
  const std::string container =
      StartHostile("createRuntime",
                   "/bin/readlink /proc/$$/root /proc/$$/ns/mnt >DIR/place");
  // The image has it, so it is the container's.
  EXPECT_THAT(Read(container, "/proc/1/environ"),
              HasSubstr("LD_PRELOAD=./x.so"));
  EXPECT_EQ(Dumped("place"),
            absl::StrCat("/\nmnt:[", HostNamespace("mnt"), "]\n"));
  EXPECT_EQ(ExpectNothingOfTheImage(container)["pid"], PidOf(container));
}

TEST_F(CdiFieldsTest, HooksRunAtTheirMoments) {
  const std::string log = directory_ + "/hooks/log";
  std::string hooks = "hooks:\n";
  for (const char* moment :
       {"poststop", "poststart", "createRuntime", "prestart"}) {
    hooks += Hook(moment,
                  absl::StrCat("echo ", moment,
                               " $(cat | sed "
                               "'s/.*\"status\":\"//; s/\".*//') >>",
                               log),
                  "  env: [\"PATH=/usr/bin:/bin\"]\n");
  }
  Spec(hooks);
  const std::string container = Start(Pod(), Ask);
  EXPECT_EQ(Dumped("log"),
            "prestart creating\ncreateRuntime creating\npoststart running\n");
  cri::RemoveContainerRequest request;
  request.set_container_id(container);
  cri::RemoveContainerResponse response;
  EXPECT_TRUE(
      Call(&cri::RuntimeService::Stub::RemoveContainer, request, response)
          .ok());
  EXPECT_THAT(Dumped("log"), testing::EndsWith("poststop stopped\n"));
}

TEST_F(CdiFieldsTest, AHookThatFailsOrHangsLeavesNothing) {
  const std::string pod = Pod();
  const std::vector<std::string> before = Footprint();
  const std::string after =
      Hook("poststop", absl::StrCat("echo gone >>", directory_, "/hooks/log"));
  Spec("hooks:\n" + Hook("createRuntime", "echo no card >&2; exit 7") + after);
  const grpc::Status failed = TryCreate(pod, Ask);
  EXPECT_EQ(failed.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(failed.error_message(),
              AllOf(HasSubstr("hook createRuntime"),
                    HasSubstr("exit status 7: no card")));
  EXPECT_EQ(Footprint(), before);
  EXPECT_EQ(Dumped("log"), "gone\n");
  const absl::Time start = absl::Now();
  Spec("hooks:\n" +
       Hook("prestart",
            absl::StrCat("echo $$ >", directory_, "/hooks/pid; sleep 100"),
            "  timeout: 1\n  env: [\"PATH=/usr/bin:/bin\"]\n"));
  const grpc::Status hung = TryCreate(pod, Ask);
  EXPECT_EQ(hung.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  EXPECT_FALSE(fs::exists(
      "/proc/" + std::string(absl::StripAsciiWhitespace(Dumped("pid")))));
  EXPECT_EQ(Footprint(), before);
}

// Of createContainer: the root is in the bundle, and all they do there the
// container has, as its own root's.
TEST_F(CdiFieldsTest, CreateContainerHooksChangeTheRoot) {
  const std::vector<std::string> before = HostMounts();
  Spec("hooks:\n" + Hook("createContainer",
                         R"(bundle=$(sed 's/.*"bundle":"//; s/".*//')
root=$bundle/$(sed 's/.*"root":{"path":"//; s/".*//' $bundle/config.json)
cd $root || exit 1
echo "from the host" >etc/by-hook
chmod 0600 etc/by-hook
ln -s /etc/by-hook by-link
mkdir -p opt/card opt/plain
mount -t tmpfs card opt/card
echo mounted >opt/card/file
echo "of the hook" >DIR/params
mount --bind DIR/params proc/meminfo
mount -t tmpfs -o ro card proc/tty)",
                         kPath));
  for (const char* handler : {"", "caisson-requested"}) {
    SCOPED_TRACE(handler);
    const std::string container = Start(Pod(nullptr, handler), [&](auto& it) {
      Ask(it);
      it.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
    });
    EXPECT_EQ(Read(container, "/by-link"), "from the host");
    for (const char* path : {"/etc/by-hook", "/opt/plain"}) {
      const Json facts = Probe(container, {"stat", path});
      EXPECT_EQ(facts["uid"], 0) << path;
      EXPECT_EQ(facts["gid"], 0) << path;
    }
    EXPECT_EQ(Read(container, "/opt/card/file"), "mounted");
    EXPECT_EQ(Read(container, "/proc/meminfo"), "of the hook");
    EXPECT_EQ(Read(container, "/proc/tty/drivers"), "<ENOENT>");
    EXPECT_THAT(Read(container, "/proc/1/environ"), HasSubstr("PATH="));
    EXPECT_EQ(Try(container, {"write", "/etc/by-hook", "x"}), "EROFS");
  }
  EXPECT_EQ(HostMounts(), before);
}

// Of what is shared with the host: the root that hooks had a clone of is let
// go alone, and what they mount stays among their own mounts.
TEST_F(CdiFieldsTest, HooksChangeNoMountOfTheHost) {
  const SharedTree shared(Writable());
  fs::create_directory(shared.path() + "/late");
  Spec("hooks:\n" + Hook("createContainer",
                         R"(bundle=$(sed 's/.*"bundle":"//; s/".*//')
cat $bundle/rootfs/volume/below/seen >DIR/seen
mount -t tmpfs late DIR/writable/late
echo late >DIR/writable/late/file)",
                         kPath));
  for (const char* handler : {"", "caisson-requested"}) {
    SCOPED_TRACE(handler);
    const std::string container = Start(Pod(nullptr, handler), [&](auto& it) {
      Ask(it);
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(shared.path());
      mount.set_container_path("/volume");
      mount.set_propagation(cri::PROPAGATION_BIDIRECTIONAL);
    });
    // The hook's and the container's.
    EXPECT_EQ(Dumped("seen"), "yes");
    EXPECT_EQ(Read(container, "/volume/below/seen"), "yes");
    EXPECT_TRUE(shared.IsWhole());
    EXPECT_FALSE(fs::exists(shared.path() + "/late/file"));
    fs::remove(directory_ + "/hooks/seen");
  }
}

// What a hook mounted stays, even for who may unmount.
TEST_F(CdiFieldsTest, MountsOfHooksAreLocked) {
  Spec("hooks:\n" + Hook("createContainer",
                         R"(bundle=$(sed 's/.*"bundle":"//; s/".*//')
mkdir $bundle/rootfs/opt
mount -t tmpfs -o ro card $bundle/rootfs/opt)",
                         kPath));
  const std::string container = Start(Pod(), [&](auto& it) {
    Ask(it);
    auto& security = *it.mutable_linux()->mutable_security_context();
    security.mutable_capabilities()->add_add_capabilities("SYS_ADMIN");
    // Whose profile would forbid it first.
    security.mutable_apparmor()->set_profile_type(
        cri::SecurityProfile::Unconfined);
  });
  const Json tried = Probe(container, {"try-remount", "/opt"});
  std::map<std::string, std::string> errors;
  for (const Json& attempt : tried["attempts"]) {
    errors[attempt.at("call")] = attempt.at("errno");
  }
  EXPECT_EQ(errors["umount"], "EINVAL");
  EXPECT_EQ(errors["umount detach"], "EINVAL");
  EXPECT_EQ(errors["remount without ro"], "EPERM");
  EXPECT_EQ(errors["mount_setattr clear ro"], "EPERM");
  EXPECT_EQ(Try(container, {"write", "/opt/new", "x"}), "EROFS");
}

// Neither the image nor the pod has a say in how a hook runs: it has the
// host's files, its own environment, and none of the container's limits.
TEST_F(HostHooksTest, HaveNothingOfTheImageBeforeThereIsARoot) {
  const std::string container =
      StartHostile("createContainer",
                   R"(/bin/readlink /proc/$$/root /proc/$$/exe /proc/$$/ns/mnt \
    /proc/$$/ns/pid /proc/$$/ns/user /proc/$$/ns/net >DIR/place
/bin/cat /proc/$$/cgroup >DIR/cgroup
/bin/grep -E 'Cap|Uid|NoNew|Seccomp:' /proc/$$/status >DIR/status)");
  const std::vector<std::string> place =
      absl::StrSplit(Dumped("place"), '\n', absl::SkipEmpty());
  ASSERT_EQ(place.size(), 6u);
  EXPECT_EQ(place[0], "/");
  EXPECT_EQ(place[1], fs::canonical("/bin/sh"));
  EXPECT_NE(place[2], absl::StrCat("mnt:[", HostNamespace("mnt"), "]"));
  EXPECT_EQ(place[3], absl::StrCat("pid:[", HostNamespace("pid"), "]"));
  EXPECT_EQ(place[4], absl::StrCat("user:[", HostNamespace("user"), "]"));
  const Json report = Report(container);
  EXPECT_EQ(place[5],
            absl::StrCat("net:[", uint64_t(report["namespaces"]["net"]), "]"));
  EXPECT_THAT(Dumped("cgroup"), testing::Not(HasSubstr(container)));
  EXPECT_THAT(Dumped("status"), HasSubstr("Uid:\t0\t0\t0\t0"));
  ExpectNothingOfTheImage(container);
}

// Of startContainer: a program of the container, confined as its own.
TEST_F(CdiFieldsTest, StartContainerHooksAreConfinedAsTheProgram) {
  PullImage();
  Spec(absl::StrCat(
      "hooks:\n- hookName: startContainer\n  path: /bin/sh\n"
      "  args: [sh, -c, 'cat >/tmp/state; cat /proc/self/status >/tmp/status;"
      " cat /proc/self/environ >/tmp/env; pwd >/tmp/cwd;"
      " for fd in /proc/$$/fd/*; do readlink $fd; done >/tmp/fds; true']\n"
      "  env: [\"PATH=/bin\"]\n"));
  for (const char* handler : {"", "caisson-requested"}) {
    SCOPED_TRACE(handler);
    const std::string container = Start(Pod(nullptr, handler), [&](auto& it) {
      Ask(it);
      it.mutable_image()->set_image(kImage);
      it.clear_command();
      it.add_command("sleep");
      it.add_command("1000");
      it.set_working_dir("/tmp");
      auto& security = *it.mutable_linux()->mutable_security_context();
      security.mutable_run_as_user()->set_value(1000);
      security.set_no_new_privs(true);
      security.mutable_seccomp()->set_profile_type(
          cri::SecurityProfile::RuntimeDefault);
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(Writable());
      mount.set_container_path("/tmp");
    });
    const Json state = Json::parse(Left("state"), nullptr, false);
    ASSERT_FALSE(state.is_discarded());
    EXPECT_EQ(state["id"], container);
    EXPECT_EQ(state["status"], "created");
    EXPECT_EQ(state["pid"], PidOf(container));
    // The shell's own beside it.
    EXPECT_EQ(Left("env"), std::string("SHLVL=1\0PATH=/bin\0PWD=/\0", 24));
    EXPECT_EQ(Left("cwd"), "/\n");
    ExpectFds(Left("fds"), "/tmp/fds");
    EXPECT_THAT(Left("status"),
                AllOf(HasSubstr("Uid:\t1000\t1000\t1000\t1000"),
                      HasSubstr("CapEff:\t0000000000000000"),
                      HasSubstr("NoNewPrivs:\t1"), HasSubstr("Seccomp:\t2")));
  }
}

TEST_F(CdiFieldsTest, AHookInTheContainersWayLeavesNothing) {
  const std::string pod = Pod();
  const std::vector<std::string> before = Footprint();
  const std::vector<std::string> mounts = HostMounts();
  Spec("hooks:\n" + Hook("createContainer",
                         "mount -t tmpfs x /mnt; echo no card >&2; exit 7",
                         kPath));
  const grpc::Status failed = TryCreate(pod, Ask);
  EXPECT_EQ(failed.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(failed.error_message(),
              AllOf(HasSubstr("run-create-hooks: run hook createContainer"),
                    HasSubstr("exit status 7: no card")));
  EXPECT_EQ(Footprint(), before);
  EXPECT_EQ(HostMounts(), mounts);
  Spec("hooks:\n" +
       Hook("createContainer",
            absl::StrCat("echo $$ >", directory_, "/hooks/pid; sleep 100"),
            absl::StrCat("  timeout: 1\n", kPath)));
  const grpc::Status hung = TryCreate(pod, Ask);
  EXPECT_EQ(hung.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_FALSE(fs::exists(
      "/proc/" + std::string(absl::StripAsciiWhitespace(Dumped("pid")))));
  EXPECT_EQ(Footprint(), before);
  Spec("hooks: [{hookName: startContainer, path: /no-such-program}]");
  const grpc::Status missing = TryCreate(pod, Ask);
  EXPECT_FALSE(missing.ok());
  EXPECT_THAT(missing.error_message(),
              AllOf(HasSubstr("run hook startContainer /no-such-program"),
                    HasSubstr("No such file")));
}

}  // namespace
}  // namespace caisson::cri_test
