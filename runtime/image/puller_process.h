#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/puller/v1/puller.pb.h"
#include "runtime/base/unique_fd.h"

namespace caisson::image {

// What a pull's conversation asks of the store.
struct PullHandlers {
  std::function<absl::Status(const puller::v1::Resolved&)> on_resolved;
  // The file for a layer, to be lent to the puller.
  std::function<absl::StatusOr<int>(const std::string& diff_id)> open_layer;
  std::function<absl::Status(const puller::v1::LayerDone&)> on_layer;
};

// Runs a caisson-puller (`program`) for one request until it has ended.  The
// puller's error is returned as it was sent; Internal when it died.
absl::Status RunPuller(const std::string& program,
                       const puller::v1::PullRequest& request,
                       const PullHandlers& handlers);

}  // namespace caisson::image
