#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"
#include "shim/plan/container.h"

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;
using keeper::v1::Mount;

// Files of procfs that a bind may stand over, as with runc: lxcfs and tools
// that restore processes need them.  Nothing else below /proc, or labels and
// sysctls would go to it (CVE-2019-16884).  Not its /proc/net/dev, which lies
// in the directory of the one process that mounts it.
constexpr const char* kProcTargets[] = {"/proc/cpuinfo",
                                        "/proc/diskstats",
                                        "/proc/loadavg",
                                        "/proc/meminfo",
                                        "/proc/slabinfo",
                                        "/proc/stat",
                                        "/proc/swaps",
                                        "/proc/sys/crypto/fips_enabled",
                                        "/proc/sys/kernel/ns_last_pid",
                                        "/proc/uptime"};

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

// The host's own procfs in the place of the container's.  Who is in the host's
// pid namespace with the host's ids sees nothing more by it, and what is
// written below it goes where it would go without it.
bool IsHostsProc(const Mount& mount, const ContainerInputs& inputs) {
  const cri::NamespaceMode pid =
      inputs.config.linux().security_context().namespace_options().pid();
  return mount.target() == "/proc" && mount.source() == "/proc" &&
         pid == cri::NODE && !inputs.own_users;
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

// An image as a volume: always read-only, and its set-user-ID bits are none.
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
  // Nobody may write to what other containers have, too.
  if (!from.readonly()) {
    return Refuse(field + ".readonly", "false", "is nothing for an image");
  }
  Mount mount;
  mount.set_kind(Mount::IMAGE);
  mount.set_source(from.image().image());
  mount.set_target(CleanPath(from.container_path()));
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

bool LiesBelow(absl::string_view path, absl::string_view directory) {
  return absl::ConsumePrefix(&path, directory) &&
         (path.empty() || path.front() == '/');
}

// How a pod sees the files of what its manifest or its devices name.
Mount::IdMapping MappingOf(const ContainerInputs& inputs) {
  if (!inputs.own_users) {
    return Mount::UNMAPPED;
  }
  return inputs.policy.unmappable == config::UnmappablePolicy::kRefuse
             ? Mount::MAPPED
             : Mount::MAPPED_WHERE_POSSIBLE;
}

// The same, with what the handler says of the host's directories.
absl::Status ChooseMapping(const cri::Mount& from, const std::string& field,
                           const ContainerInputs& inputs, Mount& to) {
  to.set_id_mapping(MappingOf(inputs));
  if (!inputs.own_users) {
    return absl::OkStatus();
  }
  const config::Handler& policy = inputs.policy;
  const std::string& kubelets = inputs.daemon.kubelet_dir;
  if (LiesBelow(CleanPath(from.host_path()), kubelets)) {
    return absl::OkStatus();
  }
  if (policy.host_path == config::HostPathPolicy::kRefuse) {
    return Refuse(
        field + ".host_path", from.host_path(),
        absl::StrCat("lies outside of ", kubelets, ", and the handler ",
                     inputs.handler, " has host_path = \"refuse\""));
  }
  if (policy.host_path == config::HostPathPolicy::kUnmapped) {
    to.set_id_mapping(Mount::UNMAPPED);
  }
  return absl::OkStatus();
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
  mount.set_source(CleanPath(from.host_path()));
  mount.set_plain_below(
      PodDirectoryAbove(mount.source(), inputs.pod_config.metadata().uid()));
  mount.set_target(CleanPath(from.container_path()));
  if (!IsHostsProc(mount, inputs)) {
    RETURN_IF_ERROR(CheckTarget(field + ".container_path", mount.target()));
  }
  mount.set_recursive(true);
  mount.set_make_source(true);
  // No device of the host is reached through a volume of a pod that is not
  // the host's root.
  mount.set_nodev(inputs.own_users);
  RETURN_IF_ERROR(ChooseMapping(from, field, inputs, mount));
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

absl::StatusOr<Mount> ReadEdit(const device::Mount& from,
                               const ContainerInputs& inputs) {
  Mount mount;
  mount.set_kind(Mount::BIND);
  mount.set_source(from.host_path);
  mount.set_target(from.container_path);
  RETURN_IF_ERROR(CheckTarget("containerPath of a CDI device", mount.target()));
  mount.set_recursive(from.recursive);
  mount.set_read_only(from.read_only);
  mount.set_nosuid(from.nosuid);
  // As for the request's own.
  mount.set_nodev(from.nodev || inputs.own_users);
  mount.set_noexec(from.noexec);
  mount.set_id_mapping(MappingOf(inputs));
  switch (from.propagation) {
    case device::Mount::Propagation::kPrivate:
      mount.set_propagation(Mount::PRIVATE);
      break;
    case device::Mount::Propagation::kFromHost:
      mount.set_propagation(Mount::HOST_TO_CONTAINER);
      break;
    case device::Mount::Propagation::kBoth:
      mount.set_propagation(Mount::BIDIRECTIONAL);
      break;
  }
  return mount;
}

// Leaves the last of each target: the last word about a path holds.
void AddLastOfEach(std::vector<Mount> mounts, keeper::v1::ContainerPlan& plan) {
  std::map<std::string, size_t> last;
  for (size_t i = 0; i < mounts.size(); ++i) {
    last[mounts[i].target()] = i;
  }
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (last[mounts[i].target()] == i) {
      *plan.add_mounts() = std::move(mounts[i]);
    }
  }
}

// Whether what is mounted at `target` is nobody's wish but ours.  Below a
// volume that the host shares it would come up on the host as well, over the
// host's own.
bool IsFree(const std::string& target, const keeper::v1::ContainerPlan& plan) {
  return std::none_of(plan.mounts().begin(), plan.mounts().end(),
                      [&](const Mount& mount) {
                        return mount.target() == target ||
                               (mount.propagation() == Mount::BIDIRECTIONAL &&
                                LiesBelow(target, mount.target()));
                      });
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

// The pod's; the host's where the pod shares its IPC.
void AddSharedMemory(const ContainerInputs& inputs,
                     keeper::v1::ContainerPlan& plan) {
  constexpr char kPath[] = "/dev/shm";
  Mount& shm = *plan.add_mounts();
  shm.set_target(kPath);
  shm.set_nosuid(true);
  shm.set_nodev(true);
  shm.set_noexec(true);
  if (inputs.pod_config.linux().security_context().namespace_options().ipc() ==
      cri::NODE) {
    shm.set_kind(Mount::BIND);
    shm.set_source(kPath);
    return;
  }
  shm.set_kind(Mount::SHM);
}

size_t Depth(const Mount& mount) {
  return static_cast<size_t>(
      std::count(mount.target().begin(), mount.target().end(), '/'));
}

bool IsOfRoot(const Mount& mount) {
  return mount.kind() == Mount::ROOT_PART ||
         mount.kind() == Mount::ROOT_DIRECTORY;
}

// Parents first, or they would hide what lies below them.  Parts of the root
// before all others: while paths of the image are resolved nothing of the
// host's is in reach.
bool StandsBefore(const Mount& a, const Mount& b) {
  const bool a_of_host = !IsOfRoot(a);
  const bool b_of_host = !IsOfRoot(b);
  return a_of_host == b_of_host ? Depth(a) < Depth(b) : b_of_host;
}

}  // namespace

std::string CleanPath(absl::string_view path) {
  std::string clean;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part != ".") {
      absl::StrAppend(&clean, "/", part);
    }
  }
  return clean.empty() ? "/" : clean;
}

absl::Status AddMounts(const ContainerInputs& inputs,
                       keeper::v1::ContainerPlan& plan) {
  plan.set_unmappable_advice(
      absl::StrCat("; handlers.", inputs.handler,
                   ".unmappable = \"unmapped\" would leave it as it is"));
  std::vector<Mount> mounts;
  int index = 0;
  for (const cri::Mount& from : inputs.config.mounts()) {
    ASSIGN_OR_RETURN(Mount mount, ReadMount(from, index++, inputs));
    mounts.push_back(std::move(mount));
  }
  for (const device::Mount& from : inputs.edits.mounts) {
    ASSIGN_OR_RETURN(Mount mount, ReadEdit(from, inputs));
    mounts.push_back(std::move(mount));
  }
  AddLastOfEach(std::move(mounts), plan);
  for (const char* name : {"resolv.conf", "hostname", "hosts"}) {
    if (IsFree(absl::StrCat("/etc/", name), plan)) {
      AddFile(inputs, name, plan);
    }
  }
  if (IsFree("/dev/shm", plan)) {
    AddSharedMemory(inputs, plan);
  }
  RETURN_IF_ERROR(AddVolumes(inputs, plan));
  std::stable_sort(plan.mutable_mounts()->begin(), plan.mutable_mounts()->end(),
                   StandsBefore);
  return absl::OkStatus();
}

}  // namespace caisson::plan
