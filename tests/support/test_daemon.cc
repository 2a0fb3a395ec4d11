#include "tests/support/test_daemon.h"

#include <signal.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/device_filter.h"
#include "shim/ops/reopen_log.h"
#include "tests/support/gate.h"

namespace caisson::testing {
namespace {

std::unique_ptr<ops::Node> MakeNode(const TestNode& on) {
  auto node = std::make_unique<ops::Node>();
  node->config = on.config();
  node->layout = on.layout();
  node->boot_id = on.boot_id();
  node->device_filter = cgroup::LoadDeviceFilter(cgroup::StandardDeviceRules())
                            .value_or(UniqueFd());
  return node;
}

TestDaemon::Result AsResult(const absl::Status& status, const std::string& id) {
  return status.ok() ? TestDaemon::Result(id) : TestDaemon::Result(status);
}

absl::Status UnlessGone(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

ThreadPool& LaneOf(const core::Pod& pod, ThreadPool& with_network,
                   ThreadPool& without) {
  return pod.facts()->config->linux()
                     .security_context()
                     .namespace_options()
                     .network() == v1::NODE
             ? without
             : with_network;
}

}  // namespace

TestDaemon& TestDaemon::Start(TestNode& node) {
  static auto* const all = new std::vector<TestDaemon*>;
  static Mutex mutex;
  auto* const daemon = new TestDaemon(node);
  MutexLock lock(mutex);
  all->push_back(daemon);
  return *daemon;
}

TestDaemon::TestDaemon(TestNode& on)
    : test_node(on),
      node(MakeNode(on)),
      store(store::Store::Open(on.database()).value()),
      images(on.path() + "/layer"),
      cni(on.path() + "/cni"),
      fake_keepers(node->layout, node->config.cgroup.keepers,
                   on.path() + "/fake-keepers"),
      devices(node->config.cdi.spec_dirs),
      seccomp(seccomp::Compiler::Create()),
      trash(Trash::Open(ops::Paths(node->config).TrashDirectory()).value()),
      collector(ops::OutputCollector::Create(timers).value()) {}

v1::RunPodSandboxRequest TestDaemon::PodRequest(const std::string& name,
                                                bool own_network) const {
  v1::RunPodSandboxRequest request;
  v1::PodSandboxConfig& config = *request.mutable_config();
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("uid-of-" + name);
  config.set_log_directory(test_node.path() + "/logs/" + name);
  if (own_network) {
    config.set_hostname(name);
  } else {
    config.mutable_linux()
        ->mutable_security_context()
        ->mutable_namespace_options()
        ->set_network(v1::NODE);
  }
  return request;
}

v1::CreateContainerRequest TestDaemon::ContainerRequest(
    const std::string& name) const {
  v1::CreateContainerRequest request;
  v1::ContainerConfig& config = *request.mutable_config();
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image("busybox");
  config.add_command("/bin/sleep");
  config.set_log_path(name + ".log");
  return request;
}

TestDaemon::Result TestDaemon::Run(const std::string& key, ThreadPool& pool,
                                   core::OperationTable::Work work,
                                   absl::Duration more) {
  struct Answer {
    Gate gate;
    Result result = absl::UnknownError("no answer");
  };

  auto answer = std::make_shared<Answer>();
  operations.Run({key, key, more + operation_time, &pool}, std::move(work),
                 Deadline::After(caller_time), [answer](const Result& result) {
                   answer->result = result;
                   answer->gate.Open();
                 });
  if (!answer->gate.WaitFor(caller_time + absl::Seconds(30))) {
    return absl::InternalError(absl::StrCat(key, ": was never answered"));
  }
  return answer->result;
}

TestDaemon::Result TestDaemon::Block(
    const std::string& key, ThreadPool& pool,
    std::function<Result(core::Operation&)> work) {
  return Run(
      key, pool,
      [work = std::move(work)](const core::OperationPtr& it) {
        it->Finish(work(*it));
      },
      absl::ZeroDuration());
}

TestDaemon::Result TestDaemon::RunPod(const v1::RunPodSandboxRequest& request) {
  return Block("run pod " + core::NameKey(request.config().metadata()),
               lanes.attach, [this, request](core::Operation& it) {
                 return run_pod.Run(request, it);
               });
}

TestDaemon::Result TestDaemon::RunPod(const std::string& name,
                                      bool own_network) {
  return RunPod(PodRequest(name, own_network));
}

absl::Status TestDaemon::StopPod(const std::string& id) {
  const absl::StatusOr<core::PodPtr> pod = registry.FindPod(id);
  if (!pod.ok()) {
    return UnlessGone(pod.status());
  }
  return Block("stop pod " + (*pod)->id(),
               LaneOf(**pod, lanes.detach, lanes.stop),
               [this, pod = *pod](core::Operation& it) {
                 it.Enter("stop");
                 const absl::Status status =
                     pod_ending.Stop(pod, it.deadline());
                 if (!status.ok()) {
                   detach_queue.Add(pod, ops::DetachQueue::Then::kNothing);
                 }
                 return AsResult(status, pod->id());
               })
      .status();
}

absl::Status TestDaemon::RemovePod(const std::string& id) {
  const absl::StatusOr<core::PodPtr> pod = registry.FindPod(id);
  if (!pod.ok()) {
    return UnlessGone(pod.status());
  }
  return Block("remove pod " + (*pod)->id(),
               LaneOf(**pod, lanes.detach, lanes.stop),
               [this, pod = *pod](core::Operation& it) {
                 it.Enter("remove");
                 const absl::Status status =
                     pod_ending.Remove(pod, it.deadline());
                 if (!status.ok()) {
                   detach_queue.Add(pod, ops::DetachQueue::Then::kRemove);
                 }
                 return AsResult(status, pod->id());
               })
      .status();
}

TestDaemon::Result TestDaemon::CreateContainer(
    const std::string& pod_id, const v1::CreateContainerRequest& request) {
  ASSIGN_OR_RETURN(const core::PodPtr pod, registry.FindPod(pod_id));
  RETURN_IF_ERROR(pod->UsableKeeper().status());
  return Block(
      "create " + core::NameKey(pod->id(), request.config().metadata()),
      lanes.start, [this, pod, request](core::Operation& it) {
        return create_container.Run(request, pod, it);
      });
}

TestDaemon::Result TestDaemon::CreateContainer(const std::string& pod,
                                               const std::string& name) {
  return CreateContainer(pod, ContainerRequest(name));
}

absl::Status TestDaemon::StartContainer(const std::string& id) {
  ASSIGN_OR_RETURN(const core::ContainerPtr container,
                   registry.FindContainer(id));
  return Block("start " + container->id(), lanes.start,
               [this, container](core::Operation& it) {
                 return AsResult(start_container.Run(container, it),
                                 container->id());
               })
      .status();
}

absl::Status TestDaemon::StopContainer(const std::string& id,
                                       absl::Duration grace) {
  const absl::StatusOr<core::ContainerPtr> found = registry.FindContainer(id);
  if (!found.ok()) {
    return UnlessGone(found.status());
  }
  (*found)->StopBy(Deadline::After(grace));
  return Run(
             "stop " + (*found)->id(), lanes.stop,
             [this, container = *found](const core::OperationPtr& it) {
               stop_container.Run(container, it);
             },
             grace)
      .status();
}

absl::Status TestDaemon::RemoveContainer(const std::string& id) {
  const absl::StatusOr<core::ContainerPtr> found = registry.FindContainer(id);
  if (!found.ok()) {
    return UnlessGone(found.status());
  }
  (*found)->StopBy(Deadline());
  return Block("remove " + (*found)->id(), lanes.stop,
               [this, container = *found](core::Operation& it) {
                 it.Enter("kill");
                 absl::Status status =
                     container_ending.Kill(container, it.deadline());
                 if (status.ok()) {
                   it.Enter("remove");
                   status = container_ending.Remove(container, it.deadline());
                 }
                 return AsResult(status, container->id());
               })
      .status();
}

absl::Status TestDaemon::Update(const std::string& id) {
  ASSIGN_OR_RETURN(const core::ContainerPtr container,
                   registry.FindContainer(id));
  return Block("", lanes.start,
               [this, container](core::Operation& it) {
                 it.Enter("change limits");
                 return AsResult(update_resources.Update(
                                     *container, v1::LinuxContainerResources()),
                                 container->id());
               })
      .status();
}

absl::Status TestDaemon::UpdatePod(const std::string& id) {
  ASSIGN_OR_RETURN(const core::PodPtr pod, registry.FindPod(id));
  return Block("", lanes.start,
               [this, pod](core::Operation& it) {
                 it.Enter("change limits");
                 return AsResult(
                     update_resources.Update(
                         *pod, v1::UpdatePodSandboxResourcesRequest()),
                     pod->id());
               })
      .status();
}

absl::Status TestDaemon::ReopenLog(const std::string& id) {
  ASSIGN_OR_RETURN(const core::ContainerPtr container,
                   registry.FindContainer(id));
  ASSIGN_OR_RETURN(const core::PodPtr pod,
                   registry.FindPod(container->pod_id()));
  return Block("", lanes.start,
               [container, pod](core::Operation& it) {
                 it.Enter("reopen log");
                 return AsResult(ops::ReopenLog(*pod, *container, it),
                                 container->id());
               })
      .status();
}

absl::StatusOr<ops::ExecSync::Answer> TestDaemon::Exec(
    const std::string& id, const std::vector<std::string>& argv,
    absl::Duration timeout) {
  v1::ExecSyncRequest request;
  request.set_container_id(id);
  request.mutable_cmd()->Assign(argv.begin(), argv.end());
  auto answer = std::make_shared<ops::ExecSync::Answer>();
  const Result result = Run(
      "", lanes.exec,
      [this, request, timeout = Deadline::After(timeout),
       answer](const core::OperationPtr& it) {
        exec_sync.Run(request, timeout, it, answer);
      },
      absl::ZeroDuration());
  RETURN_IF_ERROR(result.status());
  return std::move(*answer);
}

core::PodPtr TestDaemon::Pod(const std::string& id) {
  return registry.FindPod(id).value_or(nullptr);
}

core::ContainerPtr TestDaemon::Container(const std::string& id) {
  return registry.FindContainer(id).value_or(nullptr);
}

void TestDaemon::ExitContainer(const std::string& id, int code) {
  const core::ContainerPtr container = Container(id);
  fake_keepers.world().SetExitCode(id, code);
  kill(container->facts()->record.pid(), SIGKILL);
}

std::vector<std::string> TestDaemon::Leftovers() {
  std::vector<std::string> found = test_node.Leftovers();
  for (const core::PodPtr& pod : registry.Pods()) {
    found.push_back("pod " + pod->id());
  }
  for (const core::ContainerPtr& container : registry.Containers()) {
    found.push_back("container " + container->id());
  }
  const absl::StatusOr<store::Records> records = store->Load();
  for (const state::v1::PodRecord& pod : records->pods) {
    found.push_back("record of pod " + pod.id());
  }
  for (const state::v1::ContainerRecord& it : records->containers) {
    found.push_back("record of container " + it.id());
  }
  for (const store::Records::PodLease& lease : records->leases) {
    found.push_back("lease of " + lease.pod);
  }
  if (images.holds() != 0) {
    found.push_back(absl::StrCat(images.holds(), " holds of the image"));
  }
  return found;
}

}  // namespace caisson::testing
