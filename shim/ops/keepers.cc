#include "shim/ops/keepers.h"

#include <unistd.h>

#include <utility>

#include "runtime/base/status.h"

namespace caisson::ops {
namespace {

// A keeper without containers ends in milliseconds.
constexpr absl::Duration kEndPatience = absl::Seconds(3);

}  // namespace

pod::Keeper::Options Keepers::OptionsFor(const core::PodPtr& pod) {
  // Weak: the pod owns its keeper.
  const std::weak_ptr<core::Pod> weak = pod;
  const auto with_pod = [weak](auto&& use) {
    if (const core::PodPtr it = weak.lock(); it != nullptr) {
      use(it);
    }
  };
  pod::Keeper::Options options;
  options.socket_path = paths_.KeeperSocket(pod->id());
  options.post = [with_pod](std::function<void()> task) {
    with_pod(
        [&](const core::PodPtr& it) { it->events().Post(std::move(task)); });
  };
  options.events.exited = [this, with_pod](const keeper::v1::Exited& exited) {
    with_pod([&](const core::PodPtr& it) { exits_.OnExited(it, exited); });
  };
  options.events.described =
      [this, with_pod](const keeper::v1::PodDescription& description) {
        with_pod([&](const core::PodPtr& it) {
          exits_.OnDescribed(it, description);
        });
      };
  options.events.ended = [this, with_pod] {
    with_pod([&](const core::PodPtr& it) { exits_.OnKeeperEnded(it); });
  };
  return options;
}

absl::StatusOr<pod::KeeperIdentity> Keepers::Start(const core::PodPtr& pod,
                                                   Deadline deadline) {
  ASSIGN_OR_RETURN(pod::KeeperFactory::NewKeeper fresh,
                   factory_.Fork(deadline));
  const pod::KeeperIdentity identity = fresh.identity;
  pod->SetKeeper(clients_.adopt(std::move(fresh), OptionsFor(pod)));
  return identity;
}

absl::Status Keepers::Resume(const core::PodPtr& pod) {
  const core::PodFactsPtr facts = pod->facts();
  const pod::KeeperIdentity identity{facts->record.keeper_pid(),
                                     facts->record.keeper_start_ticks()};
  ASSIGN_OR_RETURN(std::unique_ptr<pod::Keeper> keeper,
                   clients_.resume(identity, OptionsFor(pod)));
  pod->SetKeeper(std::move(keeper));
  return absl::OkStatus();
}

absl::Status Keepers::End(core::Pod& pod, Deadline deadline) {
  const std::shared_ptr<pod::Keeper> keeper = pod.keeper();
  if (keeper == nullptr) {
    // One of an earlier daemon, which is gone, may have left it.
    unlink(paths_.KeeperSocket(pod.id()).c_str());
    return absl::OkStatus();
  }
  const absl::Status asked = keeper->Shutdown(
      Deadline::Earlier(deadline, Deadline::After(kEndPatience)));
  if (!asked.ok()) {
    keeper->Kill();
    RETURN_IF_ERROR(Annotate(keeper->AwaitEnd(deadline), "end keeper"));
  }
  unlink(paths_.KeeperSocket(pod.id()).c_str());
  pod.SetKeeper(nullptr);
  return absl::OkStatus();
}

}  // namespace caisson::ops
