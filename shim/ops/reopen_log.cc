#include "shim/ops/reopen_log.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/core/lifecycle.h"
#include "shim/ops/log_file.h"

namespace caisson::ops {

absl::Status ReopenLog(const core::Pod& pod, const core::Container& container,
                       const core::Operation& operation) {
  const core::ContainerFactsPtr facts = container.facts();
  // Before any file is made: an error leaves none behind.
  if (facts->record.state() != state::v1::ContainerRecord::RUNNING) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it is ", core::StateName(facts->record.state()), ", not running"));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<pod::Keeper> keeper,
                   pod.UsableKeeper());
  ASSIGN_OR_RETURN(UniqueFd log, OpenLogFile(facts->record.log_path()));
  return keeper->ReopenLog(container.id(), std::move(log),
                           operation.deadline());
}

}  // namespace caisson::ops
