#pragma once

#include "absl/status/status.h"
#include "api/puller/v1/puller.pb.h"

namespace caisson::puller {

// Fetches what `request` names, speaking to caissond over `socket`: the
// manifest and configuration, then the layers it lacks, several at a time.
absl::Status Pull(const v1::PullRequest& request, int socket);

}  // namespace caisson::puller
