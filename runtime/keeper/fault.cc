#include "runtime/keeper/fault.h"

#include <utility>

namespace caisson::keeper {

Fault& Fault::Get() {
  static Fault fault;
  return fault;
}

void Fault::Set(std::string step, int error_number) {
  step_ = std::move(step);
  error_number_ = error_number;
}

void Fault::Clear() {
  step_.clear();
}

absl::Status Fault::Check(absl::string_view step) const {
  if (step_.empty() || step != step_) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(error_number_, "injected fault");
}

}  // namespace caisson::keeper
