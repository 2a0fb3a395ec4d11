#pragma once

#include <string>

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/step.h"
#include "runtime/kernel/path.h"

namespace caisson::keeper {

// The pod of this keeper: its namespaces, held by fd, and its ids.
struct Pod {
  std::string id;
  google::protobuf::RepeatedPtrField<v1::IdExtent> uids;
  google::protobuf::RepeatedPtrField<v1::IdExtent> gids;
  // Not ok(): the host's.
  UniqueFd user;
  UniqueFd network;
  UniqueFd ipc;
  UniqueFd uts;
  // Host ids of the pod's root.
  kernel::Owner root;
  std::string mount_directory;
  // SELinux context of what its containers share; empty: none.
  std::string file_context;

  bool has_user_namespace() const { return !uids.empty(); }

  std::string shm_path() const { return mount_directory + "/shm"; }

  // fd of the user namespace for ID-mapped mounts, -1 without one.
  int map_fd() const { return user.get(); }
};

// The host's id of a container's; the id itself without a map, and the
// overflow id 65534 for an unmapped one.
uint32_t HostId(const google::protobuf::RepeatedPtrField<v1::IdExtent>& map,
                uint32_t id);

class Reaper;
class RequestFds;

// Runs the pod table: fills `pod` or leaves nothing.
absl::Status CreatePod(const v1::PodPlan& plan, Pod& pod, StepTimes& times,
                       std::string& failed, RequestFds& fds, Reaper& reaper);

StepNames PodStepNames();

// Unmounts the pod's mounts.  Idempotent.
void DestroyPod(Pod& pod);

}  // namespace caisson::keeper
