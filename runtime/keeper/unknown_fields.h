#pragma once

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"

// A plan of a newer daemon may ask for what this keeper knows nothing of: a
// field, or a value of an enumeration.  To leave it out could be to leave out a
// protection.
namespace caisson::keeper {

// InvalidArgument for a plan with any such, at whatever depth, naming the
// message and the field's number.
absl::Status CheckKnown(const v1::PodPlan& plan);
absl::Status CheckKnown(const v1::ContainerPlan& plan);
absl::Status CheckKnown(const v1::ExecPlan& plan);

}  // namespace caisson::keeper
