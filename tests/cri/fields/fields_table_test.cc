#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/cri/v1/api.pb.h"

// Every field of LinuxPodSandboxConfig, LinuxContainerConfig, Mount and Device
// with the test that shows its effect from inside a container.  A field that
// the CRI gains, or a test that goes, fails here.
namespace caisson::cri_test {
namespace {

namespace pb = ::google::protobuf;

constexpr struct {
  const char* field;
  const char* test;
} kTable[] = {
    {"pod.cgroup_parent", "FieldsTest.CgroupParentHoldsTheContainers"},
    {"pod.overhead", "FieldsTest.ResourcesAndOverheadLimitThePod"},
    {"pod.resources", "FieldsTest.ResourcesAndOverheadLimitThePod"},
    {"pod.sysctls", "FieldsTest.SysctlsAreSetInThePodsNamespacesOnly"},
    {"pod.security_context.apparmor", "FieldsTest.ThePodHasNoProcessOfItsOwn"},
    {"pod.security_context.namespace_options.ipc",
     "FieldsTest.IpcNamespaceIsThePodsOrTheNodes"},
    {"pod.security_context.namespace_options.network",
     "FieldsTest.NetworkNamespaceIsThePodsOrTheNodes"},
    {"pod.security_context.namespace_options.pid",
     "FieldsTest.PidNamespaceIsTheContainersThePodsTheNodesOrATargets"},
    {"pod.security_context.namespace_options.target_id",
     "FieldsTest.PidNamespaceIsTheContainersThePodsTheNodesOrATargets"},
    {"pod.security_context.namespace_options.userns_options",
     "FieldsTest.UserNamespaceIsAsGivenOrTheNodes"},
    {"pod.security_context.privileged",
     "FieldsTest.PrivilegedPodsHaveTheNodesIds"},
    {"pod.security_context.readonly_rootfs",
     "FieldsTest.ThePodHasNoProcessOfItsOwn"},
    {"pod.security_context.run_as_group",
     "FieldsTest.ThePodHasNoProcessOfItsOwn"},
    {"pod.security_context.run_as_user",
     "FieldsTest.ExtraIdsOfThePodAreMapped"},
    {"pod.security_context.seccomp", "FieldsTest.ThePodHasNoProcessOfItsOwn"},
    {"pod.security_context.seccomp_profile_path",
     "FieldsTest.ThePodHasNoProcessOfItsOwn"},
    {"pod.security_context.selinux_options",
     "SelinuxFieldsTest.APodsOptionsAreItsContainers"},
    {"pod.security_context.supplemental_groups",
     "FieldsTest.ExtraIdsOfThePodAreMapped"},
    {"pod.security_context.supplemental_groups_policy",
     "FieldsTest.ThePodHasNoProcessOfItsOwn"},

    {"container.resources.cpu_period",
     "ResourceFieldsTest.CpuQuotaAndPeriodAreTheBandwidth"},
    {"container.resources.cpu_quota",
     "ResourceFieldsTest.CpuQuotaAndPeriodAreTheBandwidth"},
    {"container.resources.cpu_shares",
     "ResourceFieldsTest.CpuSharesAreAWeight"},
    {"container.resources.cpuset_cpus",
     "ResourceFieldsTest.CpusAndMemoryNodesAreTheSet"},
    {"container.resources.cpuset_mems",
     "ResourceFieldsTest.CpusAndMemoryNodesAreTheSet"},
    {"container.resources.hugepage_limits",
     "ResourceFieldsTest.HugePagesAreLimited"},
    {"container.resources.memory_limit_in_bytes",
     "ResourceFieldsTest.MemoryIsLimited"},
    {"container.resources.memory_swap_limit_in_bytes",
     "ResourceFieldsTest.SwapIsLimitedTogetherWithMemory"},
    {"container.resources.oom_score_adj", "ResourceFieldsTest.OomScoreIsSet"},
    {"container.resources.unified",
     "ResourceFieldsTest.UnifiedFilesAreWritten"},
    {"container.security_context.apparmor",
     "FieldsTest.AppArmorConfinesOrSaysThatItCannot"},
    {"container.security_context.apparmor_profile",
     "FieldsTest.TheOldFormsOfProfilesAreHeard"},
    {"container.security_context.capabilities.add_ambient_capabilities",
     "FieldsTest.AmbientCapabilitiesReachUsersOtherThanRoot"},
    {"container.security_context.capabilities.add_capabilities",
     "FieldsTest.AddedCapabilitiesAreHeld"},
    {"container.security_context.capabilities.drop_capabilities",
     "FieldsTest.DroppedCapabilitiesAreGone"},
    {"container.security_context.masked_paths",
     "FieldsTest.MaskedPathsAreEmptyAndReadOnlyPathsAreSo"},
    {"container.security_context.namespace_options.ipc",
     "FieldsTest.IpcNamespaceIsThePodsOrTheNodes"},
    {"container.security_context.namespace_options.network",
     "FieldsTest.NetworkNamespaceIsThePodsOrTheNodes"},
    {"container.security_context.namespace_options.pid",
     "FieldsTest.PidNamespaceIsTheContainersThePodsTheNodesOrATargets"},
    {"container.security_context.namespace_options.target_id",
     "FieldsTest.PidNamespaceIsTheContainersThePodsTheNodesOrATargets"},
    {"container.security_context.namespace_options.userns_options",
     "FieldsTest.UserNamespaceIsAsGivenOrTheNodes"},
    {"container.security_context.no_new_privs",
     "FieldsTest.NoNewPrivilegesIsSet"},
    {"container.security_context.privileged",
     "FieldsTest.PrivilegedContainersHaveAllCapabilitiesAndDevices"},
    {"container.security_context.readonly_paths",
     "FieldsTest.MaskedPathsAreEmptyAndReadOnlyPathsAreSo"},
    {"container.security_context.readonly_rootfs",
     "FieldsTest.ReadOnlyRootsCannotBeWritten"},
    {"container.security_context.run_as_group",
     "FieldsTest.UserAndGroupAreNumbers"},
    {"container.security_context.run_as_user",
     "FieldsTest.UserAndGroupAreNumbers"},
    {"container.security_context.run_as_username",
     "FieldsTest.UserNamesAreLookedUpInTheImage"},
    {"container.security_context.seccomp",
     "FieldsTest.SeccompIsTheDefaultNoneOrAFileOfTheHost"},
    {"container.security_context.seccomp_profile_path",
     "FieldsTest.TheOldFormsOfProfilesAreHeard"},
    {"container.security_context.selinux_options",
     "SelinuxFieldsTest.AContainersOptionsWin"},
    {"container.security_context.supplemental_groups",
     "FieldsTest.SupplementalGroupsAreMergedOrStrict"},
    {"container.security_context.supplemental_groups_policy",
     "FieldsTest.SupplementalGroupsAreMergedOrStrict"},

    {"mount.container_path", "MountFieldsTest.PathsReadOnlyAndRecursive"},
    {"mount.gidMappings", "MountFieldsTest.MapsAreThePods"},
    {"mount.host_path", "MountFieldsTest.PathsReadOnlyAndRecursive"},
    {"mount.image", "MountFieldsTest.ImagesAreVolumesReadOnlyAndRun"},
    {"mount.image_sub_path", "MountFieldsTest.ImagesAreVolumesReadOnlyAndRun"},
    {"mount.mount_options", "MountFieldsTest.OptionsAreFlags"},
    {"mount.propagation", "MountFieldsTest.HostMountsPropagateWhenAsked"},
    {"mount.readonly", "MountFieldsTest.PathsReadOnlyAndRecursive"},
    {"mount.recursive_read_only", "MountFieldsTest.PathsReadOnlyAndRecursive"},
    // The label of its files, where the kernel has SELinux.
    {"mount.selinux_relabel",
     "SelinuxFieldsTest.VolumesAreRelabelledWhenAsked"},
    {"mount.uidMappings", "MountFieldsTest.MapsAreThePods"},

    {"device.container_path", "MountFieldsTest.DevicesHaveTheirPermissions"},
    {"device.host_path", "MountFieldsTest.DevicesHaveTheirPermissions"},
    {"device.permissions",
     "MountFieldsTest.TheDeviceFilterHoldsForTheHostsRoot"},
};

// Messages that one test shows as a whole.
bool IsWhole(const pb::FieldDescriptor& field, const std::string& path) {
  static const auto& whole = *new std::set<std::string>{
      "Int64Value", "SELinuxOption", "SecurityProfile", "UserNamespace",
      "ImageSpec"};
  return field.is_repeated() || whole.contains(field.message_type()->name()) ||
         path == "pod.overhead" || path == "pod.resources";
}

void Collect(const pb::Descriptor& message, const std::string& prefix,
             std::set<std::string>& fields) {
  for (int i = 0; i < message.field_count(); ++i) {
    const pb::FieldDescriptor& field = *message.field(i);
    const std::string path = absl::StrCat(prefix, ".", field.name());
    if (field.message_type() == nullptr || IsWhole(field, path)) {
      fields.insert(path);
    } else {
      Collect(*field.message_type(), path, fields);
    }
  }
}

TEST(FieldsTableTest, EveryFieldHasATest) {
  std::set<std::string> fields;
  Collect(*runtime::v1::LinuxPodSandboxConfig::descriptor(), "pod", fields);
  Collect(*runtime::v1::LinuxContainerConfig::descriptor(), "container",
          fields);
  Collect(*runtime::v1::Mount::descriptor(), "mount", fields);
  Collect(*runtime::v1::Device::descriptor(), "device", fields);
  std::set<std::string> rows;
  for (const auto& [field, test] : kTable) {
    rows.insert(field);
  }
  EXPECT_EQ(rows, fields);
}

TEST(FieldsTableTest, EveryTestOfTheTableIsThere) {
  std::set<std::string> tests;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      tests.insert(
          absl::StrCat(suite.name(), ".", suite.GetTestInfo(j)->name()));
    }
  }
  for (const auto& [field, test] : kTable) {
    EXPECT_TRUE(tests.contains(test)) << field << ": " << test;
  }
}

}  // namespace
}  // namespace caisson::cri_test
