#include "shim/ops/start_container.h"

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "shim/core/lifecycle.h"

namespace caisson::ops {
namespace {

using state::v1::ContainerRecord;

// What containerd and CRI-O say of a program that could not be started.
constexpr int kStartErrorCode = 128;

}  // namespace

absl::Status StartContainer::Fail(core::Container& container,
                                  const absl::Status& why) {
  // An end that was told meanwhile is that of the process that failed.
  container.EndStart();
  // Kills it as well: a start that was given up must not come later.
  exits_.End(container, {kStartErrorCode, NowNanos(), "StartError",
                         std::string(why.message())});
  return why;
}

absl::Status StartContainer::NoteStarted(
    core::Container& container, const keeper::v1::ContainerStarted& started) {
  const absl::Status running = transitions_.Change(
      container, ContainerRecord::RUNNING, [&](core::ContainerFacts& facts) {
        facts.record.set_started_at(started.started_at());
        facts.record.set_seccomp_mode(started.seccomp_mode());
      });
  const std::optional<core::Exit> exit = container.EndStart();
  if (exit.has_value()) {
    exits_.End(container, *exit);
  }
  // It was killed, or taken up by a description, between start and here.
  return absl::IsFailedPrecondition(running) ? absl::OkStatus() : running;
}

absl::Status StartContainer::Run(const core::ContainerPtr& container,
                                 core::Operation& operation) {
  const core::ContainerFactsPtr facts = container->facts();
  if (facts->record.state() != ContainerRecord::CREATED) {
    return absl::FailedPreconditionError(
        absl::StrCat("it was started before, or has ended: it is ",
                     core::StateName(facts->record.state())));
  }
  ASSIGN_OR_RETURN(const core::PodPtr pod,
                   registry_.FindPod(container->pod_id()));
  ASSIGN_OR_RETURN(const std::shared_ptr<pod::Keeper> keeper,
                   pod->UsableKeeper());
  operation.Enter("start program");
  container->BeginStart();
  const absl::StatusOr<keeper::v1::ContainerStarted> started =
      keeper->StartContainer(
          container->id(),
          hooks_.StateOf(*facts, device::Moment::kStartContainer),
          operation.deadline());
  if (!started.ok()) {
    return Fail(*container, started.status());
  }
  RETURN_IF_ERROR(NoteStarted(*container, *started));
  operation.Enter("run hooks");
  hooks_.RunLate(*container->facts(), device::Moment::kPoststart);
  return absl::OkStatus();
}

}  // namespace caisson::ops
