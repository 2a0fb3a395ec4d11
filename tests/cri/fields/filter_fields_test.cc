#include <gmock/gmock.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/cri/fields/fields_fixture.h"

// Profiles that allow little: what is needed to start a program under them.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;

// What the probe itself calls when it sleeps or reads a file, on the
// architectures there are.  No capset and no execve.
constexpr char kProbesCalls[] =
    R"("arch_prctl", "brk", "clock_nanosleep", "close", "exit", "exit_group",
       "fcntl", "fstat", "futex", "getpid", "getrandom", "gettid", "ioctl",
       "lseek", "mmap", "mprotect", "munmap", "nanosleep", "newfstatat",
       "openat", "pause", "pread64", "prlimit64", "read", "readlink",
       "readlinkat", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
       "rt_sigsuspend", "rt_sigtimedwait", "set_robust_list",
       "set_tid_address", "sigaltstack", "sysinfo", "tgkill", "uname",
       "write", "writev")";

class FilterFieldsTest : public FieldsTest {
 protected:
  // A container under a filter that kills for all but `calls`.
  EditContainer With(const std::string& calls, bool no_new_privileges) {
    const std::string path = directory_ + "/strict.json";
    std::ofstream(path) << R"({"defaultAction": "SCMP_ACT_KILL_PROCESS",
        "syscalls": [{"action": "SCMP_ACT_ALLOW", "names": [)"
                        << calls << "]}]}";
    return [=](cri::ContainerConfig& it) {
      cri::LinuxContainerSecurityContext& security =
          *it.mutable_linux()->mutable_security_context();
      security.set_no_new_privs(no_new_privileges);
      security.mutable_run_as_user()->set_value(1000);
      security.mutable_seccomp()->set_profile_type(
          cri::SecurityProfile::Localhost);
      security.mutable_seccomp()->set_localhost_ref(path);
    };
  }
};

// runc asks for some twenty calls between its filter and the program, such as
// setuid, setgroups, prctl, close_range and openat; here it is these.
TEST_F(FilterFieldsTest, NoMoreIsNeededThanToChangeAndToExecute) {
  const std::string pod = Pod();
  const std::string last =
      Start(pod, With(absl::StrCat(kProbesCalls, R"(, "execve")"), true));
  EXPECT_EQ(Read(last, "/proc/self/comm"), "caisson-probe");
  const std::string first = Start(
      pod, With(absl::StrCat(kProbesCalls, R"(, "execve", "capset")"), false));
  EXPECT_EQ(Read(first, "/proc/self/comm"), "caisson-probe");
}

TEST_F(FilterFieldsTest, ACallThatIsMissingIsNamed) {
  const std::string pod = Pod();
  for (const bool no_new_privileges : {false, true}) {
    const grpc::Status status =
        TryCreate(pod, With(kProbesCalls, no_new_privileges));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(),
                HasSubstr("seccomp profile: it does not allow execve"));
  }
  const grpc::Status status =
      TryCreate(pod, With(absl::StrCat(kProbesCalls, R"(, "execve")"), false));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              HasSubstr("seccomp profile: it does not allow capset"));
}

// It is looked for before the filter is there, which may not let it be told.
TEST_F(FilterFieldsTest, AMissingProgramIsToldUnderTheStrictestFilter) {
  for (const bool no_new_privileges : {false, true}) {
    const EditContainer strict =
        With(R"("execve", "capset", "exit_group")", no_new_privileges);
    for (const char* program : {"/no/such", "no-such"}) {
      const grpc::Status status =
          TryCreate(Pod(), [&](cri::ContainerConfig& it) {
            strict(it);
            it.set_command(0, program);
          });
      EXPECT_FALSE(status.ok());
      EXPECT_THAT(status.error_message(),
                  HasSubstr(absl::StrCat("exec ", program)));
    }
  }
}

}  // namespace
}  // namespace caisson::cri_test
