#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "runtime/base/deadline.h"
#include "runtime/base/trash.h"
#include "runtime/image/image_store.h"
#include "runtime/network/cni.h"
#include "shim/core/lanes.h"
#include "shim/core/registry.h"
#include "shim/core/transitions.h"
#include "shim/ops/container_ending.h"
#include "shim/ops/detach_queue.h"
#include "shim/ops/exits.h"
#include "shim/ops/keepers.h"
#include "shim/ops/leases.h"
#include "shim/ops/pod_ending.h"
#include "shim/ops/selinux.h"
#include "shim/ops/stop_container.h"
#include "shim/recover/difference.h"
#include "shim/recover/orphans.h"

namespace caisson::recover {

// Takes up what an earlier daemon left.  It never keeps the daemon from
// serving: what takes time goes on beside it, each pod by itself.
class Recovery {
 public:
  struct Parts {
    const ops::Node& node;
    const ops::Paths& paths;
    store::Store& store;
    network::Cni& cni;
    core::Registry& registry;
    core::Transitions& transitions;
    core::OperationTable& operations;
    core::Lanes& lanes;
    image::ImageStore& images;
    ops::Exits& exits;
    ops::Keepers& keepers;
    ops::Leases& leases;
    ops::SelinuxLevels& levels;
    ops::PodEnding& pod_ending;
    ops::ContainerEnding& container_ending;
    ops::StopContainer& stop_container;
    ops::DetachQueue& detach_queue;
    Orphans& orphans;
  };

  explicit Recovery(const Parts& parts) : parts_(parts) {}

  // Once, at the start; an error only when the records can't be read at all.
  // When it returns the lists are whole, and no range of ids that anybody may
  // still have is free.
  absl::Status Run();

 private:
  void Restore(Inventory& inventory, const Actions& actions);
  void RestorePod(state::v1::PodRecord record);
  void RestoreContainer(state::v1::ContainerRecord record);
  void ResumeKeepers(const Actions& actions);
  void AwaitKeepers(const Actions& actions);
  void EndUnheard(const Actions& actions);
  void FinishStops(const Actions& actions);
  void EndPods(const Actions& actions);

  const Parts parts_;
};

}  // namespace caisson::recover
