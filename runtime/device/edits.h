#pragma once

#include "absl/status/statusor.h"
#include "runtime/device/spec.h"
#include "runtime/device/spec_reader.h"

namespace caisson::device {

// The member "containerEdits" of a spec or a device.
absl::StatusOr<Edits> ReadEdits(const SpecReader& reader);

}  // namespace caisson::device
