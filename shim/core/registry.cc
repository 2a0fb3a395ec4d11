#include "shim/core/registry.h"

#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "shim/core/client_error.h"

namespace caisson::core {
namespace {

template <typename Pointer>
absl::StatusOr<Pointer> FindByPrefix(const std::map<std::string, Pointer>& map,
                                     const std::string& id, const char* what) {
  const auto first = map.lower_bound(id);
  if (id.empty() || first == map.end() || !absl::StartsWith(first->first, id)) {
    return ForClient(
        absl::NotFoundError(absl::StrCat("find ", what, " \"", id, "\"")));
  }
  const auto second = std::next(first);
  if (first->first != id && second != map.end() &&
      absl::StartsWith(second->first, id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("find ", what, " \"", id, "\": several ids begin so, as ",
                     first->first, " and ", second->first));
  }
  return first->second;
}

template <typename Pointer>
std::vector<Pointer> Values(const std::map<std::string, Pointer>& map) {
  std::vector<Pointer> values;
  values.reserve(map.size());
  for (const auto& [id, value] : map) {
    values.push_back(value);
  }
  return values;
}

// The entry of that name, made when there is none.
template <typename Pointer>
absl::Status AddName(std::map<std::string, Pointer>& names,
                     const std::string& key, const Pointer& value,
                     Pointer* other) {
  const auto [entry, added] = names.emplace(key, value);
  if (added) {
    return absl::OkStatus();
  }
  *other = entry->second;
  return absl::AlreadyExistsError(absl::StrCat("it is ", (*other)->id()));
}

// Of the name only when it is this one's: another may have it by now.
template <typename Object, typename Pointer>
void RemoveFrom(std::map<std::string, Pointer>& ids,
                std::map<std::string, Pointer>& names, const std::string& key,
                const Object& object) {
  const auto name = names.find(key);
  if (name != names.end() && name->second.get() == &object) {
    names.erase(name);
  }
  ids.erase(object.id());
}

}  // namespace

std::string NameKey(const v1::PodSandboxMetadata& metadata) {
  // Names of Kubernetes have no slash; any others are merely kept apart.
  return absl::StrCat(metadata.uid(), "/", metadata.namespace_(), "/",
                      metadata.name(), "/", metadata.attempt());
}

std::string NameKey(const std::string& pod_id,
                    const v1::ContainerMetadata& metadata) {
  return absl::StrCat(pod_id, "/", metadata.name(), "/", metadata.attempt());
}

absl::Status Registry::Add(PodPtr pod, PodPtr* other) {
  MutexLock lock(mutex_);
  const absl::Status added = AddName(
      pod_names_, NameKey(pod->facts()->config->metadata()), pod, other);
  if (added.ok()) {
    pods_[pod->id()] = std::move(pod);
  }
  return added;
}

absl::Status Registry::Add(ContainerPtr container, ContainerPtr* other) {
  MutexLock lock(mutex_);
  const absl::Status added = AddName(
      container_names_,
      NameKey(container->pod_id(), container->facts()->config->metadata()),
      container, other);
  if (added.ok()) {
    of_pod_[container->pod_id()].insert(container);
    containers_[container->id()] = std::move(container);
  }
  return added;
}

void Registry::Remove(const Pod& pod) {
  const std::string key = NameKey(pod.facts()->config->metadata());
  MutexLock lock(mutex_);
  RemoveFrom(pods_, pod_names_, key, pod);
}

void Registry::Remove(const Container& container) {
  const std::string key =
      NameKey(container.pod_id(), container.facts()->config->metadata());
  MutexLock lock(mutex_);
  const auto found = containers_.find(container.id());
  if (found == containers_.end()) {
    return;
  }
  const ContainerPtr kept = found->second;
  const auto siblings = of_pod_.find(container.pod_id());
  siblings->second.erase(kept);
  if (siblings->second.empty()) {
    of_pod_.erase(siblings);
  }
  RemoveFrom(containers_, container_names_, key, container);
}

absl::StatusOr<PodPtr> Registry::FindPod(const std::string& id) const {
  MutexLock lock(mutex_);
  return FindByPrefix(pods_, id, "pod sandbox");
}

absl::StatusOr<ContainerPtr> Registry::FindContainer(
    const std::string& id) const {
  MutexLock lock(mutex_);
  return FindByPrefix(containers_, id, "container");
}

std::vector<PodPtr> Registry::Pods() const {
  MutexLock lock(mutex_);
  return Values(pods_);
}

std::vector<ContainerPtr> Registry::Containers() const {
  MutexLock lock(mutex_);
  return Values(containers_);
}

std::vector<ContainerPtr> Registry::ContainersOf(
    const std::string& pod_id) const {
  MutexLock lock(mutex_);
  const auto found = of_pod_.find(pod_id);
  return found == of_pod_.end()
             ? std::vector<ContainerPtr>()
             : std::vector<ContainerPtr>(found->second.begin(),
                                         found->second.end());
}

}  // namespace caisson::core
