#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/base/timers.h"
#include "runtime/base/trash.h"
#include "runtime/device/registry.h"
#include "runtime/identity/id_pool.h"
#include "runtime/image/image_store.h"
#include "runtime/network/cni.h"
#include "runtime/pod/keeper.h"
#include "runtime/seccomp/profile.h"
#include "shim/core/event_bus.h"
#include "shim/core/lanes.h"
#include "shim/cri/runtime_service.h"
#include "shim/ops/output_collector.h"
#include "shim/recover/recovery.h"
#include "shim/store/store.h"

namespace caisson::daemon {

// What can fail to open.
struct Opened {
  // In one place: others point to it.
  std::unique_ptr<ops::Node> node;
  identity::IdPool pool;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<image::ImageStore> images;
  std::unique_ptr<network::Cni> cni;
  std::unique_ptr<device::Registry> devices;
  std::unique_ptr<seccomp::Compiler> seccomp;
  std::unique_ptr<pod::KeeperFactory> keepers;
  std::unique_ptr<Trash> trash;
  std::unique_ptr<Timers> timers;
  std::unique_ptr<ops::OutputCollector> collector;
};

// `program_directory`: where the helper programs are unless the configuration
// says so.
absl::StatusOr<Opened> OpenParts(const config::Config& config,
                                 const std::string& program_directory);

// The parts, put together; members use those above them.  Not movable.
struct Parts {
  explicit Parts(Opened from) : opened(std::move(from)) {}

  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  cri::RuntimeService::Parts ForRuntimeService();
  recover::Recovery::Parts ForRecovery();

  Opened opened;
  const ops::Node& node = *opened.node;
  Timers& timers = *opened.timers;
  const ops::Paths paths{node.config};
  core::Lanes lanes;
  core::EventBus events;
  core::Registry registry;
  core::Transitions transitions{*opened.store, events};
  core::OperationTable operations{timers};

  ops::Execs execs;
  ops::Exits exits{node, registry, transitions, execs, lanes.stop};
  ops::Keepers keepers{*opened.keepers, exits, paths};
  ops::PodNetwork network{*opened.cni, transitions, paths};
  ops::Leases leases{opened.pool, *opened.store};
  ops::SelinuxLevels levels;
  ops::Hooks hooks{node, paths};
  ops::ContainerParts container_parts{node, paths, *opened.images, hooks};
  ops::ContainerEnding container_ending{node,           paths,        registry,
                                        transitions,    exits,        hooks,
                                        *opened.images, *opened.trash};
  ops::PodEnding pod_ending{{node, paths, registry, transitions,
                             container_ending, keepers, network, leases, levels,
                             *opened.trash}};
  ops::DetachQueue detach_queue{pod_ending, timers, lanes.detach};
  ops::RunPod run_pod{{node, paths, registry, transitions, *opened.cni, leases,
                       levels, keepers, network, pod_ending, detach_queue,
                       lanes.events}};
  ops::CreateContainer create_container{
      {node, paths, registry, transitions, *opened.images, *opened.devices,
       *opened.seccomp, hooks, container_parts, container_ending}};
  ops::StartContainer start_container{registry, transitions, exits, hooks};
  ops::StopContainer stop_container{registry, transitions, container_ending,
                                    timers, lanes.stop};
  ops::UpdateResources update_resources{node, transitions};
  ops::ExecSync exec_sync{node,   registry,  execs, *opened.collector,
                          timers, lanes.stop};
  recover::Orphans orphans{node,   paths,         *opened.store, *opened.cni,
                           leases, *opened.trash, timers,        lanes.stop};
};

}  // namespace caisson::daemon
