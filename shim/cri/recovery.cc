#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/directory.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/base/remove_tree.h"
#include "runtime/base/status.h"
#include "shim/cri/runtime.h"
#include "shim/ops/pod_files.h"

namespace caisson::cri {
namespace {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

// Names of entries of `directory` that are ids of ours.
std::vector<std::string> IdsIn(const std::string& directory) {
  std::vector<std::string> ids;
  const absl::StatusOr<std::vector<DirectoryEntry>> entries =
      ListDirectory(directory);
  if (!entries.ok()) {
    return ids;
  }
  for (const DirectoryEntry& entry : *entries) {
    if (IsGeneratedId(entry.name)) {
      ids.push_back(entry.name);
    }
  }
  return ids;
}

}  // namespace

absl::Status Runtime::Reconnect(const SandboxPtr& pod) {
  ASSIGN_OR_RETURN(UniqueFd socket,
                   pod::Keeper::Connect(pod->record.keeper_socket()));
  const std::shared_ptr<pod::Keeper> keeper =
      AdoptKeeper(pod, std::move(socket));
  {
    const std::lock_guard<std::mutex> lock(pod->mutex);
    pod->keeper = keeper;
  }
  ASSIGN_OR_RETURN(const pod::Keeper::Description now, keeper->Describe());
  std::set<std::string> known;
  for (const keeper::v1::ContainerDescription& each : now.pod.containers()) {
    known.insert(each.container_id());
    const absl::StatusOr<ContainerPtr> container =
        FindContainer(each.container_id());
    if (!container.ok()) {
      // Its creation was in flight: nobody heard of it.
      RETURN_IF_ERROR(keeper->RemoveContainer(each.container_id()));
      continue;
    }
    {
      const std::lock_guard<std::mutex> lock((*container)->mutex);
      ContainerRecord& record = (*container)->record;
      record.set_started_at(each.started_at());
      record.set_state(each.state() == keeper::v1::ContainerDescription::RUNNING
                           ? ContainerRecord::RUNNING
                           : ContainerRecord::CREATED);
    }
    if (each.state() == keeper::v1::ContainerDescription::EXITED) {
      MarkExited(**container, each.exit_code(), each.finished_at());
    }
  }
  for (const ContainerPtr& container : ContainersOf(pod->id)) {
    if (!known.contains(container->id) &&
        !AwaitExit(*container, absl::ZeroDuration())) {
      MarkExited(*container, 255, NowNanos());
    }
  }
  return absl::OkStatus();
}

absl::Status Runtime::RecoverPod(PodRecord record, bool same_boot) {
  auto pod = std::make_shared<Sandbox>();
  pod->id = record.id();
  pod->handler = record.handler();
  pod->config.ParseFromString(record.config());
  const PodRecord::State was = record.state();
  pod->record = std::move(record);
  levels_.Hold(pod->record.selinux_level());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    pods_[pod->id] = pod;
  }
  absl::Status connected = absl::UnavailableError("the machine was rebooted");
  if (same_boot) {
    connected = Reconnect(pod);
  }
  if (was == PodRecord::CREATING) {
    // Nobody has its id: rolled back.
    return RemovePod(pod->id);
  }
  if (connected.ok() || was == PodRecord::STOPPED) {
    return absl::OkStatus();
  }
  LogWarning(absl::StrCat("recover pod ", pod->id, ": ", connected.message(),
                          ": it is stopped"));
  for (const ContainerPtr& container : ContainersOf(pod->id)) {
    if (!AwaitExit(*container, absl::ZeroDuration())) {
      MarkExited(*container, 255, NowNanos());
    }
  }
  return StopPod(pod->id);
}

void Runtime::RecoverContainer(ContainerRecord record) {
  auto container = std::make_shared<Container>();
  container->id = record.id();
  container->pod_id = record.pod_id();
  container->config.ParseFromString(record.config());
  HoldImages(record);
  container->record = std::move(record);
  const std::lock_guard<std::mutex> lock(mutex_);
  containers_[container->id] = container;
}

absl::Status Runtime::Recover() {
  ASSIGN_OR_RETURN(store::Records records, parts_.store->Load());
  std::set<std::string> pods;
  std::set<std::string> containers;
  for (const PodRecord& record : records.pods) {
    pods.insert(record.id());
  }
  std::vector<std::string> unborn;
  for (ContainerRecord& record : records.containers) {
    containers.insert(record.id());
    if (record.state() == ContainerRecord::CREATING) {
      unborn.push_back(record.id());
    }
    RecoverContainer(std::move(record));
  }
  const std::string boot = BootId();
  for (PodRecord& record : records.pods) {
    const std::string id = record.id();
    const bool same_boot = record.boot_id() == boot;
    // A pod that can't be recovered must not keep the daemon down.
    if (absl::Status status = RecoverPod(std::move(record), same_boot);
        !status.ok()) {
      LogError(absl::StrCat("recover pod ", id, ": ", status.message()));
    }
  }
  for (const std::string& id : unborn) {
    if (absl::Status status = RemoveContainer(id); !status.ok()) {
      LogError(absl::StrCat("roll back ", id, ": ", status.message()));
    }
  }
  // What no record owns.
  for (const std::string& id : IdsIn(parts_.config.state + "/pods")) {
    if (!pods.contains(id)) {
      RETURN_IF_ERROR(ops::RemovePodDirectory(PodDirectory(id)));
    }
  }
  for (const std::string& id : IdsIn(parts_.config.root + "/containers")) {
    if (!containers.contains(id)) {
      RETURN_IF_ERROR(RemoveTree(ContainerDirectory(id)));
    }
  }
  return absl::OkStatus();
}

}  // namespace caisson::cri
