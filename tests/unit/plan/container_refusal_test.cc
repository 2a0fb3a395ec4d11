#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "shim/plan/container.h"
#include "tests/unit/plan/good_requests.h"

namespace caisson::plan {
namespace {

using ::testing::HasSubstr;
namespace cri = ::runtime::v1;

// One thing that is wrong in an otherwise good request, and the answer.
struct Refusal {
  const char* name;
  void (*change)(GoodContainer& it);
  const char* message;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.name;
}

void AddVariable(GoodContainer& it, const std::string& key,
                 const std::string& value) {
  cri::KeyValue& env = *it.config.add_envs();
  env.set_key(key);
  env.set_value(value);
}

cri::Device& AddDevice(GoodContainer& it, const char* host,
                       const char* container) {
  cri::Device& device = *it.config.add_devices();
  device.set_host_path(host);
  device.set_container_path(container);
  return device;
}

constexpr Refusal kCommands[] = {
    {"NoMetadata", [](GoodContainer& it) { it.config.clear_metadata(); },
     "check config.metadata: \"\" is missing"},
    {"EmptyName",
     [](GoodContainer& it) { it.config.mutable_metadata()->set_name(""); },
     "check config.metadata.name: \"\" is empty"},
    {"SlashInName",
     [](GoodContainer& it) { it.config.mutable_metadata()->set_name("a/b"); },
     "check config.metadata.name: \"a/b\" is not a name"},
    {"OverlongName",
     [](GoodContainer& it) {
       it.config.mutable_metadata()->set_name(std::string(254, 'n'));
     },
     "is longer than 253 bytes"},
    {"NoCommandAnywhere",
     [](GoodContainer& it) {
       it.config.clear_command();
       it.image.entrypoint.clear();
       it.image.command.clear();
     },
     "check config.command: \"\" is missing, and the image has none"},
    {"EmptyProgram", [](GoodContainer& it) { it.config.set_command(0, ""); },
     "check config.command: \"\" is missing"},
    {"NulInArgument",
     [](GoodContainer& it) { it.config.add_args(std::string("a\0x", 3)); },
     "check config.command: \"a\\x00x\" has a NUL byte"},
    {"VariableWithoutName", [](GoodContainer& it) { AddVariable(it, "", "x"); },
     "check config.envs: \"\" is not a variable's name"},
    {"VariableWithEqualsSign",
     [](GoodContainer& it) { AddVariable(it, "A=B", "x"); },
     "check config.envs: \"A=B\" is not a variable's name"},
    {"VariableWithNul",
     [](GoodContainer& it) { AddVariable(it, std::string("A\0", 2), "x"); },
     "check config.envs: \"A\\x00\" is not a variable's name"},
    {"VariablesValueWithNul",
     [](GoodContainer& it) { AddVariable(it, "A", std::string("x\0y", 3)); },
     "check config.envs: \"A\" has a NUL byte in its value"},
    {"ImagesVariableWithNul",
     [](GoodContainer& it) { it.image.env = {std::string("A=x\0y", 5)}; },
     "environment of the image: \"A=x\\x00y\" has a NUL byte"},
    {"RelativeWorkingDirectory",
     [](GoodContainer& it) { it.config.set_working_dir("srv"); },
     "check config.working_dir: \"srv\" is not an absolute path"},
    {"LineFeedInWorkingDirectory",
     [](GoodContainer& it) { it.config.set_working_dir("/a\nb"); },
     "check config.working_dir: \"/a\\nb\" has a control character"},
    {"ImagesWorkingDirectoryIsRelative",
     [](GoodContainer& it) { it.image.working_dir = "../x"; },
     "check config.working_dir: \"../x\" is not an absolute path"},
    {"UnknownStopSignal",
     [](GoodContainer& it) {
       it.config.set_stop_signal(static_cast<cri::Signal>(4711));
     },
     "check config.stop_signal: \"4711\" is not a signal"},
};

// Catalogue C6 to C9: numbers are numbers only, and bounded.
constexpr Refusal kUsers[] = {
    {"NegativeUser",
     [](GoodContainer& it) {
       it.Security().mutable_run_as_user()->set_value(-1);
     },
     "run_as_user \"-1\": not in 0..2147483647"},
    {"UserOf31Bits",
     [](GoodContainer& it) {
       it.Security().mutable_run_as_user()->set_value(2147483648);
     },
     "run_as_user \"2147483648\": not in"},
    {"UserOf32Bits",
     [](GoodContainer& it) {
       it.Security().mutable_run_as_user()->set_value(4294967296);
     },
     "run_as_user \"4294967296\": not in"},
    {"NegativeGroup",
     [](GoodContainer& it) {
       it.Security().mutable_run_as_user()->set_value(1);
       it.Security().mutable_run_as_group()->set_value(-2);
     },
     "run_as_group \"-2\": not in"},
    {"GroupWithoutUser",
     [](GoodContainer& it) {
       it.Security().mutable_run_as_group()->set_value(7);
     },
     "run_as_group \"7\": given without run_as_user or run_as_username"},
    {"NegativeSupplementalGroup",
     [](GoodContainer& it) { it.Security().add_supplemental_groups(-3); },
     "supplemental_groups \"-3\": not in"},
    {"UserAndUsername",
     [](GoodContainer& it) {
       it.Security().mutable_run_as_user()->set_value(1);
       it.Security().set_run_as_username("app");
     },
     "security_context.run_as_username: \"app\" stands beside a run_as_user"},
    {"UnknownUsername",
     [](GoodContainer& it) { it.Security().set_run_as_username("nosuch"); },
     "find user \"nosuch\": not in the image's passwd file"},
    {"UsernameOfAMegabyte",
     [](GoodContainer& it) {
       it.Security().set_run_as_username(std::string(1 << 20, 'u'));
     },
     "not in the image's passwd file"},
    {"UsernameWithColon",
     [](GoodContainer& it) { it.Security().set_run_as_username("app:root"); },
     "run_as_username \"app:root\": not a user or group name"},
    {"UsernameWithLineFeed",
     [](GoodContainer& it) { it.Security().set_run_as_username("app\nx"); },
     "run_as_username \"app\\nx\": not a user or group name"},
    {"UsernameIsABigNumberOfPasswd",
     [](GoodContainer& it) { it.Security().set_run_as_username("4294967296"); },
     "run_as_username \"4294967296\": not in 0..2147483647"},
    {"UsernameIsANegativeNumber",
     [](GoodContainer& it) { it.Security().set_run_as_username("-1000"); },
     "run_as_username \"-1000\": not in"},
    {"ImagesUserIsABigNumberOfPasswd",
     [](GoodContainer& it) { it.image.user = "4294967296"; },
     "user of the image \"4294967296\": not in 0..2147483647"},
    {"ImagesUserHas36Digits",
     [](GoodContainer& it) { it.image.user = std::string(36, '9'); },
     "user of the image \"999999999999999999999999999999999999\": not in"},
    {"ImagesUserIsNegative", [](GoodContainer& it) { it.image.user = "-1000"; },
     "user of the image \"-1000\": not in"},
    {"ImagesGroupIsABigNumber",
     [](GoodContainer& it) { it.image.user = "0:4294967296"; },
     "group of the image's user \"4294967296\": not in"},
    {"ImagesUserIsUnknown", [](GoodContainer& it) { it.image.user = "nosuch"; },
     "find user \"nosuch\": not in the image's passwd file"},
    {"ImagesGroupIsUnknown",
     [](GoodContainer& it) { it.image.user = "app:nosuch"; },
     "find group \"nosuch\": not in the image's group file"},
    {"ImagesUserIsEmptyBesideAGroup",
     [](GoodContainer& it) { it.image.user = ":1"; },
     "user of the image \":1\": empty user"},
    {"NumberOfPasswdWraps",
     [](GoodContainer& it) { it.Security().set_run_as_username("huge"); },
     "uid of the image's passwd file \"4294967296\": not in"},
};

constexpr Refusal kSecurity[] = {
    {"UnknownCapabilityAdded",
     [](GoodContainer& it) {
       it.Security().mutable_capabilities()->add_add_capabilities("NOPE");
     },
     "security_context.capabilities: find capability \"NOPE\": unknown name"},
    {"UnknownCapabilityDropped",
     [](GoodContainer& it) {
       it.Security().mutable_capabilities()->add_drop_capabilities("\n");
     },
     "find capability \"\\n\": unknown name"},
    {"UnknownAmbientCapability",
     [](GoodContainer& it) {
       it.Security().mutable_capabilities()->add_add_ambient_capabilities(
           std::string(1 << 20, 'C'));
     },
     "CCCC\": unknown name"},
    {"UnknownSeccompType",
     [](GoodContainer& it) {
       it.Security().mutable_seccomp()->set_profile_type(
           static_cast<cri::SecurityProfile_ProfileType>(5));
     },
     "security_context.seccomp.profile_type: \"5\" is unknown"},
    {"SeccompProfileIsRelative",
     [](GoodContainer& it) {
       it.Security().mutable_seccomp()->set_profile_type(
           cri::SecurityProfile::Localhost);
       it.Security().mutable_seccomp()->set_localhost_ref("audit.json");
     },
     "seccomp.localhost_ref: \"audit.json\" is not an absolute path"},
    {"SeccompProfileIsNotNamed",
     [](GoodContainer& it) {
       it.Security().mutable_seccomp()->set_profile_type(
           cri::SecurityProfile::Localhost);
     },
     "seccomp.localhost_ref: \"\" is empty"},
    {"AppArmorProfile",
     [](GoodContainer& it) {
       it.Security().mutable_apparmor()->set_profile_type(
           cri::SecurityProfile::Localhost);
       it.Security().mutable_apparmor()->set_localhost_ref("web");
     },
     "apparmor.localhost_ref: \"web\" is asked for, and AppArmor is not",
     absl::StatusCode::kFailedPrecondition},
    {"AppArmorProfileWithLineFeed",
     [](GoodContainer& it) {
       it.Security().mutable_apparmor()->set_profile_type(
           cri::SecurityProfile::Localhost);
       it.Security().mutable_apparmor()->set_localhost_ref("web\n");
     },
     "apparmor.localhost_ref: \"web\\n\" has a control character"},
    {"SeLinuxOptions",
     [](GoodContainer& it) {
       it.Security().mutable_selinux_options()->set_type("spc_t");
     },
     "selinux_options: \"::spc_t:\" is asked for, and SELinux is not",
     absl::StatusCode::kFailedPrecondition},
    {"UnknownPidMode",
     [](GoodContainer& it) {
       it.Security().mutable_namespace_options()->set_pid(
           static_cast<cri::NamespaceMode>(9));
     },
     "namespace_options.pid: \"9\" is unknown"},
    {"PidTargetIsNotNamed",
     [](GoodContainer& it) {
       it.Security().mutable_namespace_options()->set_pid(cri::TARGET);
     },
     "namespace_options.target_id: \"\" is empty"},
    {"MaskedPathIsRelative",
     [](GoodContainer& it) { it.Security().add_masked_paths("proc/acpi"); },
     "masked_paths: \"proc/acpi\" is not an absolute path"},
    {"ReadOnlyPathClimbs",
     [](GoodContainer& it) { it.Security().add_readonly_paths("/proc/../x"); },
     "readonly_paths: \"/proc/../x\" has a \"..\" in it"},
    {"DeviceIsRelative",
     [](GoodContainer& it) { AddDevice(it, "dev/null", "/dev/null"); },
     "check config.devices.host_path: \"dev/null\" is not an absolute path"},
    {"DeviceClimbs",
     [](GoodContainer& it) { AddDevice(it, "/dev/null", "/dev/../etc/x"); },
     "check config.devices.container_path: \"/dev/../etc/x\" has a \"..\""},
    {"DevicesPermissionsAreUnknown",
     [](GoodContainer& it) {
       AddDevice(it, "/dev/null", "/dev/null").set_permissions("rwx");
     },
     "check config.devices.permissions: \"rwx\" has other letters"},
};

constexpr Refusal kResources[] = {
    {"NegativeCpuPeriod",
     [](GoodContainer& it) { it.Resources().set_cpu_period(-1); },
     "check config.linux.resources.cpu_period: \"-1\" is negative"},
    {"NegativeCpuQuota",
     [](GoodContainer& it) { it.Resources().set_cpu_quota(-2); },
     "resources.cpu_quota: \"-2\" is negative"},
    {"NegativeCpuShares",
     [](GoodContainer& it) { it.Resources().set_cpu_shares(-1024); },
     "resources.cpu_shares: \"-1024\" is negative"},
    {"NegativeMemory",
     [](GoodContainer& it) { it.Resources().set_memory_limit_in_bytes(-2); },
     "resources.memory_limit_in_bytes: \"-2\" is negative"},
    {"NegativeSwap",
     [](GoodContainer& it) {
       it.Resources().set_memory_swap_limit_in_bytes(-2);
     },
     "resources.memory_swap_limit_in_bytes: \"-2\" is negative"},
    {"OomScoreTooLow",
     [](GoodContainer& it) { it.Resources().set_oom_score_adj(-1001); },
     "resources.oom_score_adj: \"-1001\" is out of range -1000..1000"},
    {"OomScoreTooHigh",
     [](GoodContainer& it) { it.Resources().set_oom_score_adj(1001); },
     "resources.oom_score_adj: \"1001\" is out of range"},
    {"OomScoreThatWraps",
     [](GoodContainer& it) { it.Resources().set_oom_score_adj(4294967296); },
     "resources.oom_score_adj: \"4294967296\" is out of range"},
    {"CpusAreNotNumbers",
     [](GoodContainer& it) { it.Resources().set_cpuset_cpus("0-1\n2"); },
     "resources.cpuset_cpus: \"0-1\\n2\" is not a list of numbers"},
    {"MemoryNodesAreNotNumbers",
     [](GoodContainer& it) { it.Resources().set_cpuset_mems("all"); },
     "resources.cpuset_mems: \"all\" is not a list of numbers"},
};

constexpr Refusal kLogs[] = {
    {"AbsoluteLogPath",
     [](GoodContainer& it) { it.config.set_log_path("/etc/passwd"); },
     "check config.log_path: \"/etc/passwd\" is not a path below"},
    {"LogPathClimbs",
     [](GoodContainer& it) { it.config.set_log_path("../../etc/x"); },
     "check config.log_path: \"../../etc/x\" is not a path below"},
    {"LogPathEndsInParent",
     [](GoodContainer& it) { it.config.set_log_path("a/.."); },
     "check config.log_path: \"a/..\" is not a path below"},
    {"LogPathIsTheDirectory",
     [](GoodContainer& it) { it.config.set_log_path("."); },
     "check config.log_path: \".\" is not a path below"},
    {"LogPathEndsInASlash",
     [](GoodContainer& it) { it.config.set_log_path("app/"); },
     "check config.log_path: \"app/\" is not a path below"},
    {"LogPathWithLineFeed",
     [](GoodContainer& it) { it.config.set_log_path("a\nb"); },
     "check config.log_path: \"a\\nb\" has a control character"},
    {"LogPathWithoutDirectory",
     [](GoodContainer& it) { it.pod.clear_log_directory(); },
     "check config.log_path: \"app/0.log\" has no log directory"},
    {"OverlongLogPath",
     [](GoodContainer& it) { it.config.set_log_path(std::string(4096, 'l')); },
     "is longer than 4095 bytes"},
};

class ContainerRefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(ContainerRefusalTest, NamesFieldAndValue) {
  GoodContainer it;
  ASSERT_TRUE(it.Plan().ok()) << it.Plan().status();
  GetParam().change(it);
  const absl::Status status = it.Plan().status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
  EXPECT_LT(status.message().size(), 1024u);
}

std::string NameOf(const testing::TestParamInfo<Refusal>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Commands, ContainerRefusalTest,
                         testing::ValuesIn(kCommands), NameOf);
INSTANTIATE_TEST_SUITE_P(Users, ContainerRefusalTest, testing::ValuesIn(kUsers),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Security, ContainerRefusalTest,
                         testing::ValuesIn(kSecurity), NameOf);
INSTANTIATE_TEST_SUITE_P(Resources, ContainerRefusalTest,
                         testing::ValuesIn(kResources), NameOf);
INSTANTIATE_TEST_SUITE_P(Logs, ContainerRefusalTest, testing::ValuesIn(kLogs),
                         NameOf);

}  // namespace
}  // namespace caisson::plan
