#include "shim/ops/stop_container.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"

namespace caisson::ops {
namespace {

using state::v1::ContainerRecord;

// A keeper passes a signal on at once; one that does not is gone past.
constexpr absl::Duration kSignalPatience = absl::Seconds(2);

// A killed process that does not end in this time hangs in the kernel.
constexpr absl::Duration kKillTime = absl::Seconds(30);

}  // namespace

bool StopContainer::Ask(core::Container& container) {
  if (container.state() == ContainerRecord::EXITED ||
      container.stop_by().passed()) {
    return false;
  }
  const auto pod = registry_.FindPod(container.pod_id());
  const std::shared_ptr<pod::Keeper> keeper =
      pod.ok() ? (*pod)->keeper() : nullptr;
  if (keeper == nullptr) {
    return false;
  }
  // Another daemon goes on with it, should this one end.
  const int64_t kill_at =
      NowNanos() + absl::ToInt64Nanoseconds(container.stop_by().left());
  const absl::Status noted = transitions_.Note(
      container,
      [&](core::ContainerFacts& facts) { facts.record.set_kill_at(kill_at); });
  if (!noted.ok()) {
    LogWarning(absl::StrCat("record stop of container ", container.id(), ": ",
                            noted.message()));
  }
  return keeper
      ->SignalContainer(container.id(), container.facts()->record.stop_signal(),
                        Deadline::After(kSignalPatience))
      .ok();
}

void StopContainer::Run(const core::ContainerPtr& container,
                        const core::OperationPtr& operation) {
  operation->Enter("ask to stop");
  if (Ask(*container)) {
    Await(container, operation);
  } else {
    Kill(container, operation);
  }
}

void StopContainer::Await(const core::ContainerPtr& container,
                          const core::OperationPtr& operation) {
  operation->Enter("await its end");
  auto wait = std::make_shared<Wait>();
  wait->container = container;
  wait->operation = operation;
  const Deadline by = container->stop_by();
  wait->timer = timers_.At(by, [this, wait] { OnWoken(wait); });
  container->Watch([this, wait] { OnWoken(wait); });
  // Brought forward before it was watched.
  if (container->stop_by() < by) {
    OnWoken(wait);
  }
}

void StopContainer::OnWoken(const std::shared_ptr<Wait>& wait) {
  if (wait->over.exchange(true)) {
    return;
  }
  timers_.Cancel(wait->timer);
  pool_.Post([this, container = wait->container, operation = wait->operation] {
    const bool go_on = container->state() != ContainerRecord::EXITED &&
                       !container->stop_by().passed();
    if (go_on) {
      Await(container, operation);
    } else {
      Kill(container, operation);
    }
  });
}

void StopContainer::Kill(const core::ContainerPtr& container,
                         const core::OperationPtr& operation) {
  operation->Enter("kill");
  const absl::Status killed =
      ending_.Kill(container, Deadline::After(kKillTime));
  operation->Finish(killed.ok() ? core::Operation::Result(container->id())
                                : core::Operation::Result(killed));
}

}  // namespace caisson::ops
