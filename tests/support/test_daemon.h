#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/base/timers.h"
#include "runtime/base/trash.h"
#include "runtime/device/registry.h"
#include "runtime/seccomp/profile.h"
#include "shim/core/lanes.h"
#include "shim/ops/create_container.h"
#include "shim/ops/exec_sync.h"
#include "shim/ops/run_pod.h"
#include "shim/ops/start_container.h"
#include "shim/ops/stop_container.h"
#include "shim/ops/update_resources.h"
#include "shim/recover/recovery.h"
#include "tests/support/fake_cni.h"
#include "tests/support/fake_image_store.h"
#include "tests/support/fake_keeper.h"
#include "tests/support/test_node.h"

namespace caisson::testing {

namespace v1 = ::runtime::v1;

// The daemon's operations, put together as shim/daemon does, with fakes in
// place of keepers, plugins and images.  Its calls are those of the CRI, and
// return when they are answered.
//
// Never destroyed, as the daemon's parts never are: its threads may be in the
// midst of work, which the end of the process ends.
class TestDaemon {
 public:
  // On `node`, which a test keeps as long as it uses this.
  static TestDaemon& Start(TestNode& node);

  TestDaemon(const TestDaemon&) = delete;
  TestDaemon& operator=(const TestDaemon&) = delete;

  // With these times operations end by themselves, and callers give up.
  absl::Duration operation_time = absl::Seconds(30);
  absl::Duration caller_time = absl::Seconds(60);

  using Result = core::Operation::Result;

  v1::RunPodSandboxRequest PodRequest(const std::string& name,
                                      bool own_network = true) const;
  v1::CreateContainerRequest ContainerRequest(const std::string& name) const;

  Result RunPod(const v1::RunPodSandboxRequest& request);
  Result RunPod(const std::string& name, bool own_network = true);
  absl::Status StopPod(const std::string& id);
  absl::Status RemovePod(const std::string& id);
  Result CreateContainer(const std::string& pod,
                         const v1::CreateContainerRequest& request);
  Result CreateContainer(const std::string& pod, const std::string& name);
  absl::Status StartContainer(const std::string& id);
  absl::Status StopContainer(const std::string& id,
                             absl::Duration grace = absl::ZeroDuration());
  absl::Status RemoveContainer(const std::string& id);
  absl::Status Update(const std::string& id);
  absl::Status UpdatePod(const std::string& id);
  absl::Status ReopenLog(const std::string& id);
  absl::StatusOr<ops::ExecSync::Answer> Exec(
      const std::string& id, const std::vector<std::string>& argv,
      absl::Duration timeout = absl::InfiniteDuration());

  // What an earlier daemon left is taken up.
  absl::Status Recover() { return recovery.Run(); }

  core::PodPtr Pod(const std::string& id);
  core::ContainerPtr Container(const std::string& id);

  // The container's process ends with this code.
  void ExitContainer(const std::string& id, int code);

  // What is left in memory, in records and on the node.
  std::vector<std::string> Leftovers();

  TestNode& test_node;
  const std::unique_ptr<ops::Node> node;
  std::unique_ptr<store::Store> store;
  FakeImageStore images;
  FakeCni cni;
  FakeKeepers fake_keepers;
  device::Registry devices;
  const std::unique_ptr<seccomp::Compiler> seccomp;
  std::unique_ptr<Trash> trash;
  Timers timers;
  std::unique_ptr<ops::OutputCollector> collector;

  const ops::Paths paths{node->config};
  core::Lanes lanes;
  core::EventBus events;
  core::Registry registry;
  core::Transitions transitions{*store, events};
  core::OperationTable operations{timers};

  ops::Execs execs;
  ops::Exits exits{*node, registry, transitions, execs, lanes.stop};
  ops::Keepers keepers{fake_keepers, exits, paths, fake_keepers.clients()};
  ops::PodNetwork network{cni, transitions, paths};
  ops::Leases leases{identity::IdPool{1 << 28, 64}, *store};
  ops::SelinuxLevels levels;
  ops::Hooks hooks{*node, paths};
  ops::ContainerParts container_parts{*node, paths, images, hooks};
  ops::ContainerEnding container_ending{*node, paths, registry, transitions,
                                        exits, hooks, images,   *trash};
  ops::PodEnding pod_ending{{*node, paths, registry, transitions,
                             container_ending, keepers, network, leases, levels,
                             *trash}};
  ops::DetachQueue detach_queue{pod_ending, timers, lanes.detach};
  ops::RunPod run_pod{{*node, paths, registry, transitions, cni, leases, levels,
                       keepers, network, pod_ending, detach_queue,
                       lanes.events}};
  ops::CreateContainer create_container{{*node, paths, registry, transitions,
                                         images, devices, *seccomp, hooks,
                                         container_parts, container_ending}};
  ops::StartContainer start_container{registry, transitions, exits, hooks};
  ops::StopContainer stop_container{registry, transitions, container_ending,
                                    timers, lanes.stop};
  ops::UpdateResources update_resources{*node, transitions};
  ops::ExecSync exec_sync{*node,      registry, execs,
                          *collector, timers,   lanes.exec};
  recover::Orphans orphans{*node,  paths,  *store, cni,
                           leases, *trash, timers, lanes.stop};
  recover::Recovery recovery{{*node, paths, *store, cni, registry, transitions,
                              operations, lanes, images, exits, keepers, leases,
                              levels, pod_ending, container_ending,
                              stop_container, detach_queue, orphans}};

 private:
  explicit TestDaemon(TestNode& on);

  Result Run(const std::string& key, ThreadPool& pool,
             core::OperationTable::Work work, absl::Duration more);
  // Of work that ends when it returns.
  Result Block(const std::string& key, ThreadPool& pool,
               std::function<Result(core::Operation&)> work);
};

}  // namespace caisson::testing
