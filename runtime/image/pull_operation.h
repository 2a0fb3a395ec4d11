#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/puller/v1/puller.pb.h"
#include "runtime/image/image_store.h"
#include "runtime/image/layer_store.h"

namespace caisson::image {

// What a pull found and fetched.
struct PulledImage {
  std::string manifest_digest;  // of what the reference names
  std::string id;               // the configuration's digest
  std::string config;
  std::vector<std::string> layers;  // diffIDs, lowest first
};

// One pull: talks to a puller until all layers of an image are here.  While
// it lives, they stay.  One thread.
class PullOperation {
 public:
  // Both are borrowed.
  PullOperation(const ImageStore::Options& options, LayerStore& layers)
      : options_(options), layers_(layers) {}

  PullOperation(const PullOperation&) = delete;
  PullOperation& operator=(const PullOperation&) = delete;
  ~PullOperation();

  // `cancel` (borrowed): readable when nobody wants the image any more.
  // Cancelled; Unavailable: nothing came for Options::stall_limit.
  absl::StatusOr<PulledImage> Run(const Reference& reference,
                                  const Credentials& credentials, int cancel);

 private:
  absl::Status Attempt(const puller::v1::PullRequest& request, int cancel);
  absl::Status Converse(int socket, const puller::v1::PullRequest& request,
                        int cancel);
  absl::Status OnResolved(const puller::v1::Resolved& resolved,
                          const std::string& wanted);
  absl::Status OnOpenLayer(int socket, const std::string& diff_id);
  absl::Status OnLayerDone(const puller::v1::LayerDone& done);
  absl::Status CommitFetched();
  void AbandonClaimed();

  const ImageStore::Options& options_;
  LayerStore& layers_;
  PulledImage image_;
  std::set<std::string> referenced_;
  // Ours to fetch, and not committed yet.
  std::set<std::string> claimed_;
  std::vector<LayerRecord> fetched_;
};

}  // namespace caisson::image
