#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"
#include "shim/plan/container.h"

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;
using keeper::v1::Mount;

// Files of procfs that a bind may stand over (lxcfs); nothing else below
// /proc, or labels and sysctls would go to it (CVE-2019-16884).
constexpr const char* kProcTargets[] = {
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",
    "/proc/swaps",   "/proc/uptime",    "/proc/loadavg", "/proc/slabinfo"};

std::string Clean(absl::string_view path) {
  std::string clean;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part != ".") {
      absl::StrAppend(&clean, "/", part);
    }
  }
  return clean.empty() ? "/" : clean;
}

absl::Status CheckTarget(const std::string& field, const std::string& target) {
  if (target == "/") {
    return Refuse(field, target, "is not a place for a mount");
  }
  if (target != "/proc" && !absl::StartsWith(target, "/proc/")) {
    return absl::OkStatus();
  }
  const bool allowed =
      std::any_of(std::begin(kProcTargets), std::end(kProcTargets),
                  [&](const char* one) { return target == one; });
  return allowed ? absl::OkStatus() : Refuse(field, target, "lies in /proc");
}

absl::Status SetPropagation(const cri::Mount& from, const std::string& field,
                            Mount& to) {
  switch (from.propagation()) {
    case cri::PROPAGATION_PRIVATE:
      to.set_propagation(Mount::PRIVATE);
      return absl::OkStatus();
    case cri::PROPAGATION_HOST_TO_CONTAINER:
      to.set_propagation(Mount::HOST_TO_CONTAINER);
      return absl::OkStatus();
    case cri::PROPAGATION_BIDIRECTIONAL:
      to.set_propagation(Mount::BIDIRECTIONAL);
      return absl::OkStatus();
    default:
      return Refuse(field + ".propagation", absl::StrCat(from.propagation()),
                    "is unknown");
  }
}

absl::Status SetReadOnly(const cri::Mount& from, const std::string& field,
                         Mount& to) {
  to.set_read_only(from.readonly());
  to.set_recursive_read_only(from.recursive_read_only());
  if (from.recursive_read_only() &&
      (!from.readonly() || from.propagation() != cri::PROPAGATION_PRIVATE)) {
    return Refuse(field + ".recursive_read_only", "true",
                  "needs readonly and private propagation");
  }
  return absl::OkStatus();
}

// An image as a volume: always read-only, and nothing in it is run.
absl::StatusOr<Mount> ReadImageMount(const cri::Mount& from,
                                     const std::string& field) {
  if (!from.host_path().empty()) {
    return Refuse(field + ".host_path", from.host_path(),
                  "stands beside an image");
  }
  if (from.propagation() != cri::PROPAGATION_PRIVATE) {
    return Refuse(field + ".propagation", absl::StrCat(from.propagation()),
                  "is nothing for an image");
  }
  Mount mount;
  mount.set_kind(Mount::IMAGE);
  mount.set_source(from.image().image());
  mount.set_target(Clean(from.container_path()));
  RETURN_IF_ERROR(CheckTarget(field + ".container_path", mount.target()));
  const std::string& sub_path = from.image_sub_path();
  RETURN_IF_ERROR(CheckText(field + ".image_sub_path", sub_path, 4095, true));
  for (absl::string_view part : absl::StrSplit(sub_path, '/')) {
    if (part == ".." || absl::StartsWith(sub_path, "/")) {
      return Refuse(field + ".image_sub_path", sub_path,
                    "is not a path inside of the image");
    }
  }
  mount.set_sub_path(sub_path);
  return mount;
}

bool SameMap(const google::protobuf::RepeatedPtrField<cri::IDMapping>& a,
             const google::protobuf::RepeatedPtrField<cri::IDMapping>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const cri::IDMapping& x, const cri::IDMapping& y) {
                      return x.host_id() == y.host_id() &&
                             x.container_id() == y.container_id() &&
                             x.length() == y.length();
                    });
}

// A volume is seen through its pod's map; there is no other.
absl::Status CheckMaps(const cri::Mount& from, const std::string& field,
                       const ContainerInputs& inputs) {
  if (from.uidmappings().empty() && from.gidmappings().empty()) {
    return absl::OkStatus();
  }
  const cri::UserNamespace& users = inputs.pod_config.linux()
                                        .security_context()
                                        .namespace_options()
                                        .userns_options();
  if (!SameMap(from.uidmappings(), users.uids()) ||
      !SameMap(from.gidmappings(), users.gids())) {
    return Refuse(field + ".uidMappings",
                  absl::StrCat(from.uidmappings_size(), " extents"),
                  "differ from those of the pod");
  }
  return absl::OkStatus();
}

// The directory that the kubelet keeps for the pod, when `path` lies below it.
// The kubelet puts no links there, but the pod's containers can.
std::string PodDirectoryAbove(absl::string_view path, const std::string& uid) {
  const std::string name = absl::StrCat("/pods/", uid, "/");
  const size_t at = uid.empty() ? path.npos : path.find(name);
  return at == path.npos ? "" : std::string(path.substr(0, at + name.size()));
}

absl::StatusOr<Mount> ReadMount(const cri::Mount& from, int index,
                                const ContainerInputs& inputs) {
  const std::string field = absl::StrCat("config.mounts[", index, "]");
  RETURN_IF_ERROR(
      CheckPlainPath(field + ".container_path", from.container_path()));
  if (from.has_image() && !from.image().image().empty()) {
    return ReadImageMount(from, field);
  }
  RETURN_IF_ERROR(CheckMaps(from, field, inputs));
  RETURN_IF_ERROR(CheckPlainPath(field + ".host_path", from.host_path()));
  Mount mount;
  mount.set_kind(Mount::BIND);
  mount.set_source(Clean(from.host_path()));
  mount.set_plain_below(
      PodDirectoryAbove(mount.source(), inputs.pod_config.metadata().uid()));
  mount.set_target(Clean(from.container_path()));
  RETURN_IF_ERROR(CheckTarget(field + ".container_path", mount.target()));
  mount.set_recursive(true);
  // No device of the host is reached through a volume of a pod that is not
  // the host's root.
  mount.set_nodev(inputs.own_users);
  mount.set_id_mapping(inputs.own_users ? Mount::MAPPED : Mount::UNMAPPED);
  RETURN_IF_ERROR(SetPropagation(from, field, mount));
  RETURN_IF_ERROR(SetReadOnly(from, field, mount));
  for (const std::string& option : from.mount_options()) {
    if (option == "noexec") {
      mount.set_noexec(true);
    } else if (option == "nosuid") {
      mount.set_nosuid(true);
    } else if (option == "nodev") {
      mount.set_nodev(true);
    } else {
      return Refuse(field + ".mount_options", option, "is unknown");
    }
  }
  return mount;
}

void AddFile(const ContainerInputs& inputs, const char* name,
             keeper::v1::ContainerPlan& plan) {
  Mount& mount = *plan.add_mounts();
  mount.set_source(absl::StrCat(inputs.pod_directory, "/", name));
  mount.set_target(absl::StrCat("/etc/", name));
  mount.set_nosuid(true);
  mount.set_nodev(true);
  mount.set_read_only(plan.read_only_root());
  mount.set_id_mapping(inputs.own_users ? Mount::MAPPED : Mount::UNMAPPED);
}

size_t Depth(const Mount& mount) {
  return static_cast<size_t>(
      std::count(mount.target().begin(), mount.target().end(), '/'));
}

}  // namespace

absl::Status AddMounts(const ContainerInputs& inputs,
                       keeper::v1::ContainerPlan& plan) {
  std::set<std::string> targets;
  int index = 0;
  for (const cri::Mount& from : inputs.config.mounts()) {
    ASSIGN_OR_RETURN(Mount mount, ReadMount(from, index++, inputs));
    targets.insert(mount.target());
    *plan.add_mounts() = std::move(mount);
  }
  for (const char* name : {"resolv.conf", "hostname", "hosts"}) {
    if (!targets.contains(absl::StrCat("/etc/", name))) {
      AddFile(inputs, name, plan);
    }
  }
  if (!targets.contains("/dev/shm")) {
    Mount& shm = *plan.add_mounts();
    shm.set_kind(Mount::SHM);
    shm.set_target("/dev/shm");
    shm.set_nosuid(true);
    shm.set_nodev(true);
    shm.set_noexec(true);
  }
  // Parents first, or they would hide what lies below them.
  std::stable_sort(
      plan.mutable_mounts()->begin(), plan.mutable_mounts()->end(),
      [](const Mount& a, const Mount& b) { return Depth(a) < Depth(b); });
  return absl::OkStatus();
}

}  // namespace caisson::plan
