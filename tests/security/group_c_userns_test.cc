#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "tests/security/group_c_fixture.h"
#include "tests/security/process_facts.h"

// Rows C23, C25 and C26: keyrings, and user namespaces.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class UserNamespaceEscapeTest : public GroupCTest {
 protected:
  static EditContainer Unconfined() {
    return [](cri::ContainerConfig& it) {
      Security(it).mutable_seccomp()->set_profile_type(
          cri::SecurityProfile::Unconfined);
    };
  }

  // What a container of a pod of its own holds from now on, and why not more.
  Json Hold(const std::string& kind, int most) {
    const std::string log = absl::StrCat(kind, "-", ++number_, ".log");
    Start(ModePod(), [&](cri::ContainerConfig& it) {
      Unconfined()(it);
      it.set_command(1, "hold");
      it.add_command(kind);
      it.add_command(absl::StrCat(most));
      it.set_log_path(log);
    });
    AwaitLog(log);
    return JsonOf(log);
  }

  // Host id of the container's root.
  uid_t HostRoot(const std::string& container) {
    const Json report = Report(container);
    return report["uid_map"][0][1];
  }

  static void Give(cri::PodSandboxConfig& it, uint32_t container, uint32_t host,
                   uint32_t length) {
    cri::UserNamespace& users = *it.mutable_linux()
                                     ->mutable_security_context()
                                     ->mutable_namespace_options()
                                     ->mutable_userns_options();
    users.set_mode(cri::POD);
    for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
      map->set_container_id(container);
      map->set_host_id(host);
      map->set_length(length);
    }
  }

  grpc::Status TryPod(const std::function<void(cri::PodSandboxConfig&)>& edit) {
    cri::RunPodSandboxRequest request =
        GoodPod(absl::StrCat("users", ++number_));
    request.set_runtime_handler(OwnUsers() ? "" : "caisson-requested");
    edit(*request.mutable_config());
    return RunPod(request);
  }

 private:
  int number_ = 0;
};

CAISSON_BOTH_MODES(UserNamespaceEscapeTest);

constexpr int kUserSession = -5;  // of keyctl(2)

// A key of root's user session on the host, for as long as it lives: what a
// process without a session keyring of its own takes for its session.
class HostKey {
 public:
  HostKey() {
    id_ = syscall(SYS_add_key, "user", "caisson-host", "x", 1, kUserSession);
  }

  HostKey(const HostKey&) = delete;
  HostKey& operator=(const HostKey&) = delete;

  // 9: KEYCTL_UNLINK.
  ~HostKey() { syscall(SYS_keyctl, 9, id_, kUserSession); }

  long id() const { return id_; }

 private:
  long id_ = -1;
};

TEST_P(UserNamespaceEscapeTest, C23KeysOfOthersAreOutOfSight) {
  const HostKey key;
  ASSERT_GE(key.id(), 0) << strerror(errno);
  const std::string pod = ModePod();
  const std::string first = Start(pod, Unconfined());
  // Adds a key to its session, finds it there, and is gone.
  EXPECT_THAT(
      TryAll(first, {"calls", "x86-64", "248:@user:@caisson-first:@x:1:-3",
                     "250:10:-3:@user:@caisson-first:0"}),
      ElementsAre("OK", "OK"));
  const std::string second = Start(ModePod(), Unconfined());
  for (const std::string& container : {first, second}) {
    // 10: KEYCTL_SEARCH of the session; 11: KEYCTL_READ by number.
    EXPECT_THAT(TryAll(container,
                       {"calls", "x86-64", "250:10:-3:@user:@caisson-first:0",
                        "250:10:-3:@user:@caisson-host:0"}),
                Each("ENOKEY"));
    const std::string keys = Read(container, "/proc/keys");
    EXPECT_THAT(keys, testing::Not(HasSubstr("caisson-first")));
    if (OwnUsers()) {
      // Root's own keyrings are those of the namespace's root.
      EXPECT_THAT(TryAll(container,
                         {"calls", "x86-64", "250:10:-4:@user:@caisson-host:0",
                          "250:10:-5:@user:@caisson-host:0",
                          absl::StrCat("250:11:", key.id(), ":0:0")}),
                  ElementsAre("ENOKEY", "ENOKEY", "EACCES"));
      EXPECT_THAT(keys, testing::Not(HasSubstr("caisson-host")));
    }
  }
  // And where nobody asked for more, none of the calls is there.
  EXPECT_THAT(TryAll(Start(pod,
                           [](auto& it) {
                             Security(it).mutable_seccomp()->set_profile_type(
                                 cri::SecurityProfile::RuntimeDefault);
                           }),
                     {"keyctl"}),
              Each("EPERM"));
}

// Who made a namespace pays for what is used in it.
TEST_P(UserNamespaceEscapeTest, C25ThePodsRootOwnsItsNamespaces) {
  const std::string container = Start(ModePod());
  const std::string path = absl::StrCat("/proc/", PidOf(container), "/ns/user");
  const UniqueFd space(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(space.ok()) << path;
  uid_t owner = 0;
  ASSERT_EQ(ioctl(space.get(), NS_GET_OWNER_UID, &owner), 0);
  EXPECT_EQ(owner, HostRoot(container));
  EXPECT_EQ(owner == 0, !OwnUsers());
  for (const char* kind : {"net", "ipc", "uts", "mnt", "pid", "cgroup"}) {
    const UniqueFd other(
        open(absl::StrCat("/proc/", PidOf(container), "/ns/", kind).c_str(),
             O_RDONLY | O_CLOEXEC));
    const UniqueFd owning(ioctl(other.get(), NS_GET_USERNS));
    struct stat facts = {};
    struct stat own = {};
    ASSERT_EQ(fstat(owning.get(), &facts), 0) << kind;
    ASSERT_EQ(fstat(space.get(), &own), 0);
    EXPECT_EQ(facts.st_ino, own.st_ino) << kind;
  }
}

// What the kernel counts by the user, and how one more is asked for.
struct CountedRow {
  const char* kind;     // of the probe's "hold"
  const char* setting;  // of /proc/sys/user: how many of them a user may have
  const char* lowered;  // what it must be lowered to, for all take too long
  const char* error;    // when there are no more
  int (*take)();        // one more; an errno
};

int TakeInstance() {
  const UniqueFd one(inotify_init1(IN_CLOEXEC));
  return one.ok() ? 0 : errno;
}

int TakeWatch() {
  const UniqueFd one(inotify_init1(IN_CLOEXEC));
  return inotify_add_watch(one.get(), "/", IN_CREATE) < 0 ? errno : 0;
}

template <int flag>
int TakeNamespace() {
  const pid_t child = fork();
  if (child == 0) {
    _exit(unshare(flag) != 0 ? errno : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

constexpr CountedRow kCounted[] = {
    {"inotify", "max_inotify_instances", nullptr, "EMFILE", TakeInstance},
    {"watches", "max_inotify_watches", nullptr, "ENOSPC", TakeWatch},
    {"user", "max_user_namespaces", "300", "ENOSPC",
     TakeNamespace<CLONE_NEWUSER>},
    {"mnt", "max_mnt_namespaces", "300", "ENOSPC", TakeNamespace<CLONE_NEWNS>},
    {"net", "max_net_namespaces", "200", "ENOSPC", TakeNamespace<CLONE_NEWNET>},
};

TEST_P(UserNamespaceEscapeTest, C25APodThatUsesAllLeavesTheHostSome) {
  if (!OwnUsers()) {
    // Root is root: what the limits count is the host's.
    EXPECT_EQ(HostRoot(Start(ModePod())), 0u);
    return;
  }
  for (const CountedRow& row : kCounted) {
    SCOPED_TRACE(row.kind);
    const std::string setting = absl::StrCat("/proc/sys/user/", row.setting);
    std::optional<HostSetting> lowered;
    // Which takes CAP_SYS_RESOURCE.  Without it, these are held as others are
    // that can be used up.
    const bool all =
        row.lowered == nullptr || access(setting.c_str(), W_OK) == 0;
    if (all && row.lowered != nullptr) {
      lowered.emplace(setting, row.lowered);
    }
    const Json held = Hold(row.kind, all ? 1 << 22 : 100);
    EXPECT_EQ(held["errno"], all ? row.error : "OK");
    EXPECT_GE(held["made"], 100);
    // The host's root has some, and so has another pod.
    EXPECT_EQ(row.take(), 0);
    EXPECT_EQ(Hold(row.kind, 10)["errno"], "OK");
    StopAll();
  }
}

struct MapRow {
  const char* name;
  uint32_t container;
  uint32_t host;
  uint32_t length;
  const char* text;
};

constexpr MapRow kMaps[] = {
    {"root of the host", 0, 0, 65536, "maps id 0 of the host"},
    {"shorter than a pod's ids", 0, 1900000000, 1000, "is not all of"},
    {"one id short", 0, 1900000000, 65535, "is not all of"},
    {"nobody", 0, 1900000000, 0, "is empty"},
    {"root not mapped", 1, 1900000000, 65536, "container id 0 is not mapped"},
    {"beyond the largest id", 0, 4294901760, 65536, "beyond the largest id"},
    {"around the end", 0, 4294967295, 65536, "beyond the largest id"},
};

TEST_P(UserNamespaceEscapeTest, C26MapsThatHarmAreRefused) {
  for (const MapRow& row : kMaps) {
    const grpc::Status status = TryPod(
        [&](auto& it) { Give(it, row.container, row.host, row.length); });
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << row.name;
    EXPECT_THAT(status.error_message(), HasSubstr("userns_options.uids"))
        << row.name;
    EXPECT_THAT(status.error_message(), HasSubstr(row.text)) << row.name;
  }
  const grpc::Status two = TryPod([](auto& it) {
    Give(it, 0, 1900000000, 65536);
    Give(it, 65536, 1910000000, 65536);
  });
  EXPECT_THAT(two.error_message(), HasSubstr("must be one mapping"));
  const grpc::Status differ = TryPod([](auto& it) {
    Give(it, 0, 1900000000, 65536);
    it.mutable_linux()
        ->mutable_security_context()
        ->mutable_namespace_options()
        ->mutable_userns_options()
        ->mutable_gids(0)
        ->set_host_id(1910000000);
  });
  EXPECT_THAT(differ.error_message(), HasSubstr("differ from uids"));
  for (const auto mode : {cri::TARGET, cri::CONTAINER}) {
    const grpc::Status status = TryPod([&](auto& it) {
      it.mutable_linux()
          ->mutable_security_context()
          ->mutable_namespace_options()
          ->mutable_userns_options()
          ->set_mode(mode);
    });
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("userns_options.mode"));
  }
}

// Another pod's ids, those that the kubelet gave and those of our own pool.
TEST_P(UserNamespaceEscapeTest, C26RangesOfLivePodsAreTaken) {
  ASSERT_TRUE(TryPod([](auto& it) { Give(it, 0, 1900000000, 131072); }).ok());
  const uid_t leased = HostRoot(Start(Pod()));
  for (const uint32_t host :
       {1900000000u, 1900000000u - 65535, 1900000000u + 65536, leased,
        leased + 1, leased - 1}) {
    const grpc::Status status =
        TryPod([&](auto& it) { Give(it, 0, host, 65536); });
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION)
        << host;
    EXPECT_THAT(status.error_message(), HasSubstr(absl::StrCat(host)));
  }
  EXPECT_TRUE(
      TryPod([](auto& it) { Give(it, 0, 1900000000u - 65536, 65536); }).ok());
}

// Files of the container's root in its root, in a volume, and devices.
TEST_P(UserNamespaceEscapeTest, C26FilesBelongToWhomTheMapSays) {
  const std::string volume = directory_ + "/c26";
  fs::create_directory(volume);
  const std::string container = Start(ModePod(), [&](auto& it) {
    cri::Mount& mount = *it.add_mounts();
    mount.set_host_path(volume);
    mount.set_container_path("/volume");
  });
  EXPECT_EQ(Try(container, {"write", "/volume/new", "x"}), "OK");
  EXPECT_EQ(Try(container, {"write", "/new", "x"}), "OK");
  struct stat facts = {};
  ASSERT_EQ(stat((volume + "/new").c_str(), &facts), 0);
  // On an ID-mapped volume root is root.
  EXPECT_EQ(facts.st_uid, 0u);
  ASSERT_EQ(stat(absl::StrCat("/proc/", PidOf(container), "/root/new").c_str(),
                 &facts),
            0);
  EXPECT_EQ(facts.st_uid, HostRoot(container));
  const Json null = Probe(container, {"stat", "/dev/null"});
  EXPECT_EQ(null["uid"], OwnUsers() ? 65534 : 0);
  std::error_code error;
  fs::remove_all(volume, error);
}

// A filesystem that cannot be mapped is not silently left unmapped.
TEST_P(UserNamespaceEscapeTest, C26VolumesThatCannotBeMappedAreRefused) {
  const auto with = [](cri::ContainerConfig& it) {
    cri::Mount& mount = *it.add_mounts();
    mount.set_host_path("/sys/kernel");
    mount.set_container_path("/volume");
  };
  if (OwnUsers()) {
    const grpc::Status status = TryCreate(ModePod(), with);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.error_message(), HasSubstr("/volume"));
    return;
  }
  EXPECT_EQ(Try(Start(ModePod(), with), {"stat", "/volume/mm"}), "OK");
}

}  // namespace
}  // namespace caisson::cri_test
