#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"
#include "shim/core/container.h"
#include "shim/core/pod.h"

namespace caisson::core {

// All pods and containers in memory, by id and by the name that the CRI gives
// them: a pod's uid, namespace, name and attempt; a container's pod, name and
// attempt.  Any thread.
class Registry {
 public:
  // AlreadyExists when another has its id or its name; `*other` is that one.
  absl::Status Add(PodPtr pod, PodPtr* other) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Add(ContainerPtr container, ContainerPtr* other)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Nothing for one that isn't there.
  void Remove(const Pod& pod) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const Container& container) ABSL_LOCKS_EXCLUDED(mutex_);

  // By id, or by the beginning of one id alone.  NotFound; InvalidArgument for
  // a beginning of several.
  absl::StatusOr<PodPtr> FindPod(const std::string& id) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<ContainerPtr> FindContainer(const std::string& id) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Those that are being made too.
  std::vector<PodPtr> Pods() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<ContainerPtr> Containers() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<ContainerPtr> ContainersOf(const std::string& pod_id) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable Mutex mutex_;
  std::map<std::string, PodPtr> pods_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ContainerPtr> containers_ ABSL_GUARDED_BY(mutex_);
  // By their names' keys.
  std::map<std::string, PodPtr> pod_names_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ContainerPtr> container_names_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::set<ContainerPtr>> of_pod_ ABSL_GUARDED_BY(mutex_);
};

// The names, as keys of maps and operations.
std::string NameKey(const v1::PodSandboxMetadata& metadata);
std::string NameKey(const std::string& pod_id,
                    const v1::ContainerMetadata& metadata);

}  // namespace caisson::core
