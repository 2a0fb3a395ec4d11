#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {
namespace {

// The entry with that key, or the only one whose key begins with it.
template <typename Map>
typename Map::mapped_type FindByPrefix(const Map& map, const std::string& id) {
  const auto first = map.lower_bound(id);
  if (id.empty() || first == map.end() || !absl::StartsWith(first->first, id)) {
    return nullptr;
  }
  const auto second = std::next(first);
  const bool unique = first->first == id || second == map.end() ||
                      !absl::StartsWith(second->first, id);
  return unique ? first->second : nullptr;
}

}  // namespace

absl::StatusOr<Runtime::SandboxPtr> Runtime::FindPod(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  SandboxPtr pod = FindByPrefix(pods_, id);
  if (pod == nullptr) {
    return absl::NotFoundError(absl::StrCat("find pod sandbox \"", id, "\""));
  }
  return pod;
}

absl::StatusOr<Runtime::ContainerPtr> Runtime::FindContainer(
    const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ContainerPtr container = FindByPrefix(containers_, id);
  if (container == nullptr) {
    return absl::NotFoundError(absl::StrCat("find container \"", id, "\""));
  }
  return container;
}

std::vector<Runtime::ContainerPtr> Runtime::ContainersOf(
    const std::string& pod_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<ContainerPtr> found;
  for (const auto& [id, container] : containers_) {
    if (container->pod_id == pod_id) {
      found.push_back(container);
    }
  }
  return found;
}

absl::StatusOr<std::shared_ptr<pod::Keeper>> Runtime::KeeperOf(Sandbox& pod) {
  const std::lock_guard<std::mutex> lock(pod.mutex);
  if (pod.keeper == nullptr ||
      pod.record.state() != state::v1::PodRecord::READY) {
    return absl::FailedPreconditionError(
        absl::StrCat("use pod sandbox ", pod.id, ": it is not ready"));
  }
  return pod.keeper;
}

std::string Runtime::PodDirectory(const std::string& pod_id) const {
  return absl::StrCat(parts_.config.state, "/pods/", pod_id);
}

std::string Runtime::ContainerDirectory(const std::string& id) const {
  return absl::StrCat(parts_.config.root, "/containers/", id);
}

std::string Runtime::KeeperSocket(const std::string& pod_id) const {
  // Short: an address has 107 bytes.
  return absl::StrCat(parts_.config.state, "/keepers/", pod_id.substr(0, 32));
}

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  std::getline(file, text);
  return text;
}

}  // namespace caisson::cri
