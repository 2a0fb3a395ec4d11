#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/security/group_c_fixture.h"

// Rows C18 and C19: what the default seccomp profile leaves of the kernel, on
// each ABI of a 64-bit x86 machine.
namespace caisson::cri_test {
namespace {

using ::testing::AnyOf;

class SeccompEscapeTest : public GroupCTest {
 protected:
  // Under the default profile; with one capability more if it is named.
  std::string Confined(const std::string& pod, const char* capability = "") {
    return Start(pod, [&](auto& it) {
      Security(it).mutable_seccomp()->set_profile_type(
          cri::SecurityProfile::RuntimeDefault);
      if (*capability != '\0') {
        Security(it).mutable_capabilities()->add_add_capabilities(capability);
      }
    });
  }

  std::string Unconfined(const std::string& pod) {
    return Start(pod, [](auto& it) {
      Security(it).mutable_seccomp()->set_profile_type(
          cri::SecurityProfile::Unconfined);
    });
  }
};

CAISSON_BOTH_MODES(SeccompEscapeTest);

#if defined(__x86_64__)

constexpr size_t kFamilies = 47;
// UNIX, INET, INET6, NETLINK: what programs need.
const std::set<size_t> kOpen = {1, 2, 10, 16};
// AX25, KEY, PACKET, RXRPC, ALG, VSOCK, XDP: named by the row.
const std::set<size_t> kNamed = {15, 17, 33, 38, 40, 44};

TEST_P(SeccompEscapeTest, C18SocketFamiliesAreAnAllowListOnEveryAbi) {
  const std::string pod = ModePod();
  const std::string container = Confined(pod);
  for (const char* abi : {"x86-64", "i386"}) {
    const auto errors = TryAll(container, {"families", abi});
    ASSERT_EQ(errors.size(), kFamilies) << abi;
    for (size_t family = 0; family < kFamilies; ++family) {
      EXPECT_EQ(errors[family], kOpen.contains(family) ? "OK" : "EPERM")
          << abi << " " << family;
    }
  }
  // The family is in memory, where no filter sees it: not even the good ones.
  EXPECT_THAT(
      TryAll(container, {"families", "socketcall"}),
      testing::AllOf(testing::SizeIs(kFamilies), testing::Each("EPERM")));
  EXPECT_THAT(
      TryAll(container, {"families", "x32"}),
      testing::AllOf(testing::SizeIs(kFamilies), testing::Each("ENOSYS")));
}

TEST_P(SeccompEscapeTest, C18RawPacketsNeedTheCapability) {
  const auto errors =
      TryAll(Confined(ModePod(), "NET_RAW"), {"families", "x86-64"});
  ASSERT_EQ(errors.size(), kFamilies);
  EXPECT_EQ(errors[17], "OK");
  for (const size_t family : kNamed) {
    if (family != 17 && family != 44) {
      EXPECT_EQ(errors[family], "EPERM") << family;
    }
  }
}

// Without a filter the same program gets further, so its refusals mean
// something.
TEST_P(SeccompEscapeTest, C18TheProbeReachesTheKernelOnEveryAbi) {
  const std::string container = Unconfined(ModePod());
  for (const char* abi : {"x86-64", "i386", "socketcall"}) {
    const auto errors = TryAll(container, {"families", abi});
    ASSERT_EQ(errors.size(), kFamilies) << abi;
    for (const size_t family : kOpen) {
      EXPECT_EQ(errors[family], "OK") << abi << " " << family;
    }
    // No such family: the kernel's own answer.
    EXPECT_EQ(errors[0], "EAFNOSUPPORT") << abi;
  }
}

struct CallRow {
  const char* name;
  const char* native;  // number and arguments on x86-64, and x32
  const char* compat;  // on i386; empty: there is none
  const char* expected = "EPERM";
};

// Arguments do no harm where the call comes through.
constexpr CallRow kCalls[] = {
    {"unshare user", "272:0x10000000", "310:0x10000000"},
    {"unshare mount", "272:0x20000", "310:0x20000"},
    {"unshare pid", "272:0x20000000", "310:0x20000000"},
    {"unshare net", "272:0x40000000", "310:0x40000000"},
    {"unshare ipc", "272:0x08000000", "310:0x08000000"},
    {"unshare uts", "272:0x04000000", "310:0x04000000"},
    {"unshare cgroup", "272:0x02000000", "310:0x02000000"},
    {"unshare time", "272:0x80", "310:0x80"},
    {"clone user", "56:0x10000011", "120:0x10000011"},
    {"clone mount", "56:0x20011", "120:0x20011"},
    {"clone net", "56:0x40000011", "120:0x40000011"},
    {"clone3", "435:0:88", "435:0:88", "ENOSYS"},
    {"setns", "308:0:0", "346:0:0"},
    {"mount", "165:@none:@/tmp:@tmpfs:0:0", "21:@none:@/tmp:@tmpfs:0:0"},
    {"umount", "166:@/proc:2", "52:@/proc:2"},
    {"old umount", "166:@/sys:2", "22:@/sys"},
    {"fsopen", "430:@tmpfs:0", "430:@tmpfs:0"},
    {"fsconfig", "431:0:0:0:0:0", "431:0:0:0:0:0"},
    {"fsmount", "432:0:0:0", "432:0:0:0"},
    {"fspick", "433:-100:@/:0", "433:-100:@/:0"},
    {"open_tree", "428:-100:@/:1", "428:-100:@/:1"},
    {"move_mount", "429:0:0:0:0:0", "429:0:0:0:0:0"},
    {"mount_setattr", "442:-100:@/:0:0:0", "442:-100:@/:0:0:0"},
    {"open_tree_attr", "467:-100:@/:1:0:0", "467:-100:@/:1:0:0"},
    {"pivot_root", "155:@/:@/", "217:@/:@/"},
    {"chroot", "161:@/", "61:@/"},
    {"open_by_handle_at", "304:0:0:0", "342:0:0:0"},
    {"bpf", "321:0:0:0", "357:0:0:0"},
    {"perf_event_open", "298:0:0:-1:-1:0", "336:0:0:-1:-1:0"},
    {"io_uring_setup", "425:1:0", "425:1:0"},
    {"io_uring_enter", "426:0:0:0:0:0", "426:0:0:0:0:0"},
    {"io_uring_register", "427:0:0:0:0", "427:0:0:0:0"},
    {"userfaultfd", "323:1", "374:1"},
    {"keyctl", "250:0:-3:0", "288:0:-3:0"},
    {"add_key", "248:@user:@c19:@x:1:-2", "286:@user:@c19:@x:1:-2"},
    {"request_key", "249:@user:@c19:0:0", "287:@user:@c19:0:0"},
    {"kexec_load", "246:0:0:0:0", "283:0:0:0:0"},
    {"kexec_file_load", "320:-1:-1:0:0:0", ""},
    {"init_module", "175:0:0:0", "128:0:0:0"},
    {"finit_module", "313:-1:0:0", "350:-1:0:0"},
    {"delete_module", "176:@caisson-none:0", "129:@caisson-none:0"},
    {"process_vm_readv", "310:1:0:0:0:0", "347:1:0:0:0:0"},
    {"process_vm_writev", "311:1:0:0:0:0", "348:1:0:0:0:0"},
    {"kcmp", "312:1:1:0:0:0", "349:1:1:0:0:0"},
    {"pidfd_getfd", "438:-1:0:0", "438:-1:0:0"},
    {"no random addresses", "135:0x40000", "136:0x40000"},
    {"syslog", "103:10:0:0", "103:10:0:0"},
    {"quotactl", "179:0:0:0:0", "131:0:0:0:0"},
    {"acct", "163:@/nowhere", "51:@/nowhere"},
    {"swapon", "167:@/nowhere:0", "87:@/nowhere:0"},
    {"swapoff", "168:@/nowhere", "115:@/nowhere"},
    {"reboot", "169:0:0:0:0", "88:0:0:0:0"},
    {"lookup_dcookie", "212:0:0:0", "253:0:0:0"},
    {"nfsservctl", "180:0:0:0", "169:0:0:0"},
    {"iopl", "172:0", "110:0"},
    {"ioperm", "173:0:0:0", "101:0:0:0"},
    {"vm86", "", "166:0:0"},
    {"bdflush", "", "134:0:0"},
    {"settimeofday", "164:0:0", "79:0:0"},
    {"clock_settime", "227:0:0", "264:0:0"},
    {"vhangup", "153", "111"},
    {"fanotify_init", "300:0:0", "338:0:0"},
    {"move_pages", "279:0:0:0:0:0", "317:0:0:0:0:0"},
    {"uselib", "134:@/x", "86:@/x"},
    {"sysfs", "139:3:0:0", "135:3:0:0"},
    {"sysctl", "156:0", "149:0"},
    {"create_module", "174:0:0", "127:0:0"},
    {"a call of tomorrow", "600:0", "600:0", "ENOSYS"},
    {"a call far away", "9999:0", "9999:0", "ENOSYS"},
    // What must work.
    {"getpid", "39", "20", "OK"},
    {"personality of Linux", "135:0", "136:0", "OK"},
    {"inotify_init1", "294:0", "332:0", "OK"},
};

TEST_P(SeccompEscapeTest, C19DangerousCallsAreCutOnEveryAbi) {
  const std::string container = Confined(ModePod());
  std::vector<std::string> native = {"calls", "x86-64"};
  std::vector<std::string> compat = {"calls", "i386"};
  std::vector<std::string> x32 = {"calls", "x32"};
  std::vector<const CallRow*> of_native;
  std::vector<const CallRow*> of_compat;
  for (const CallRow& row : kCalls) {
    if (*row.native != '\0') {
      native.push_back(row.native);
      x32.push_back(row.native);
      of_native.push_back(&row);
    }
    if (*row.compat != '\0') {
      compat.push_back(row.compat);
      of_compat.push_back(&row);
    }
  }
  const auto first = TryAll(container, native);
  const auto second = TryAll(container, compat);
  ASSERT_EQ(first.size(), of_native.size());
  ASSERT_EQ(second.size(), of_compat.size());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i], of_native[i]->expected) << of_native[i]->name;
  }
  for (size_t i = 0; i < second.size(); ++i) {
    EXPECT_EQ(second[i], of_compat[i]->expected)
        << "i386 " << of_compat[i]->name;
  }
  EXPECT_THAT(TryAll(container, x32),
              testing::AllOf(testing::SizeIs(of_native.size()),
                             testing::Each("ENOSYS")));
}

// The kernel itself answers these otherwise to whom no filter holds back.
TEST_P(SeccompEscapeTest, C19TheProbeReachesTheKernel) {
  const std::string container = Unconfined(ModePod());
  for (const auto& [abi, calls] :
       {std::pair<std::string, std::vector<std::string>>{
            "x86-64",
            {"250:0:-3:0", "425:1:0", "435:0:88", "272:0x10000000",
             "56:0x10000011"}},
        {"i386",
         {"288:0:-3:0", "425:1:0", "435:0:88", "310:0x10000000",
          "120:0x10000011"}}}) {
    std::vector<std::string> arguments = {"calls", abi};
    arguments.insert(arguments.end(), calls.begin(), calls.end());
    EXPECT_THAT(TryAll(container, arguments),
                testing::ElementsAre("OK", "EFAULT", "EFAULT", "OK", "OK"))
        << abi;
  }
}

#endif

// A process of the host's root, which whoever traces it may stop.
class Victim {
 public:
  Victim() : pid_(fork()) {
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (true) {
        pause();
      }
    }
  }

  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  ~Victim() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

// ptrace(2) is for debuggers among a container's own processes; one of the
// host's is in sight only of who shares its pid namespace, and not his.
TEST_P(SeccompEscapeTest, C19ProcessesOfTheHostAreNotTraced) {
  const auto node = [](cri::NamespaceOption& options) {
    options.set_pid(cri::NODE);
  };
  const std::string pod = Pod(
      [&](auto& it) {
        cri::NamespaceOption& options = *it.mutable_linux()
                                             ->mutable_security_context()
                                             ->mutable_namespace_options();
        node(options);
        if (OwnUsers()) {
          cri::UserNamespace& users = *options.mutable_userns_options();
          users.set_mode(cri::POD);
          for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
            map->set_host_id(1900000000);
            map->set_length(65536);
          }
        }
      },
      "caisson-requested");
  const std::string container = Start(pod, [&](auto& it) {
    node(*Security(it).mutable_namespace_options());
    Security(it).mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::Unconfined);
  });
  const Victim victim;
  const std::string own = absl::StrCat(victim.pid());
  // PTRACE_ATTACH, PTRACE_SEIZE.
  EXPECT_THAT(TryAll(container,
                     {"calls", "x86-64", absl::StrCat("101:16:", own, ":0:0"),
                      absl::StrCat("101:0x4206:", own, ":0:0")}),
              testing::ElementsAre("EPERM", "EPERM"));
  EXPECT_THAT(
      Try(container, {"open", absl::StrCat("/proc/", own, "/mem"), "r"}),
      AnyOf("EACCES", "EPERM"));
  EXPECT_THAT(Read(container, absl::StrCat("/proc/", own, "/environ")),
              AnyOf("<EACCES>", "<EPERM>"));
}

}  // namespace
}  // namespace caisson::cri_test
