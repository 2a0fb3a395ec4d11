#include "runtime/device/bundle.h"

#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/make_directory.h"
#include "runtime/base/status.h"
#include "runtime/base/write_all.h"
#include "runtime/kernel/capability_names.h"

namespace caisson::device {
namespace {

using json::Value;
using keeper::v1::ContainerPlan;
using keeper::v1::Mount;

Value Names(uint64_t set) {
  Value names = Value::array();
  for (int number = 0; number < 64; ++number) {
    const absl::string_view bare = kernel::BareCapabilityName(number);
    if ((set >> number & 1) != 0 && !bare.empty()) {
      names.push_back(absl::StrCat("CAP_", bare));
    }
  }
  return names;
}

template <typename Strings>
Value List(const Strings& strings) {
  Value list = Value::array();
  for (const auto& text : strings) {
    list.push_back(text);
  }
  return list;
}

Value DescribeProcess(const keeper::v1::Process& process) {
  const keeper::v1::Capabilities& sets = process.capabilities();
  Value value = Value::object();
  value["terminal"] = process.tty();
  value["user"] = {{"uid", process.uid()},
                   {"gid", process.gid()},
                   {"additionalGids", List(process.groups())}};
  value["args"] = List(process.argv());
  value["env"] = List(process.env());
  value["cwd"] = process.working_directory();
  value["noNewPrivileges"] = process.no_new_privileges();
  value["capabilities"] = {{"bounding", Names(sets.bounding())},
                           {"permitted", Names(sets.permitted())},
                           {"effective", Names(sets.effective())},
                           {"inheritable", Names(sets.inheritable())},
                           {"ambient", Names(sets.ambient())}};
  return value;
}

Value DescribeMount(const Mount& mount) {
  const bool tmpfs = mount.kind() == Mount::TMPFS;
  Value options = Value::array();
  if (!tmpfs) {
    options.push_back(mount.recursive() ? "rbind" : "bind");
  }
  options.push_back(mount.read_only() ? "ro" : "rw");
  const std::pair<bool, const char*> flags[] = {{mount.nosuid(), "nosuid"},
                                                {mount.nodev(), "nodev"},
                                                {mount.noexec(), "noexec"}};
  for (const auto& [set, name] : flags) {
    if (set) {
      options.push_back(name);
    }
  }
  Value value = Value::object();
  value["destination"] = mount.target();
  value["type"] = tmpfs ? "tmpfs" : "bind";
  value["source"] = tmpfs ? "tmpfs" : mount.source();
  value["options"] = std::move(options);
  return value;
}

Value DescribeMap(
    const google::protobuf::RepeatedPtrField<keeper::v1::IdExtent>& map) {
  Value value = Value::array();
  for (const keeper::v1::IdExtent& extent : map) {
    value.push_back({{"containerID", extent.container_id()},
                     {"hostID", extent.host_id()},
                     {"size", extent.length()}});
  }
  return value;
}

Value DescribeLinux(const ContainerPlan& plan, const BundleFacts& facts) {
  Value namespaces = Value::array();
  for (const std::string& type : facts.namespaces) {
    namespaces.push_back({{"type", type}});
  }
  Value value = Value::object();
  value["namespaces"] = std::move(namespaces);
  value["uidMappings"] = DescribeMap(facts.uids);
  value["gidMappings"] = DescribeMap(facts.gids);
  value["cgroupsPath"] = absl::StrCat("/", facts.cgroup);
  value["maskedPaths"] = List(plan.masked_paths());
  value["readonlyPaths"] = List(plan.read_only_paths());
  return value;
}

}  // namespace

std::string BundleConfig(const ContainerPlan& plan, const BundleFacts& facts) {
  Value mounts = Value::array();
  for (const Mount& mount : plan.mounts()) {
    if (mount.kind() == Mount::BIND || mount.kind() == Mount::TMPFS) {
      mounts.push_back(DescribeMount(mount));
    }
  }
  Value value = Value::object();
  value["ociVersion"] = kOciVersion;
  value["root"] = {{"path", "rootfs"}, {"readonly", plan.read_only_root()}};
  value["process"] = DescribeProcess(plan.process());
  value["hostname"] = facts.hostname;
  value["mounts"] = std::move(mounts);
  value["annotations"] = facts.annotations;
  value["linux"] = DescribeLinux(plan, facts);
  return json::Dump(value);
}

absl::Status WriteBundle(const std::string& directory,
                         const ContainerPlan& plan, const BundleFacts& facts) {
  const std::string rootfs = directory + "/rootfs";
  RETURN_IF_ERROR(MakeDirectory(rootfs, 0700));
  return WriteFile(directory + "/config.json", BundleConfig(plan, facts), 0600);
}

}  // namespace caisson::device
