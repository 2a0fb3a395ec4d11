#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/puller/v1/puller.pb.h"
#include "runtime/image/byte_source.h"

namespace caisson::puller {

// Speaks the OCI distribution protocol with the hosts of one repository, in
// their order; the first that answers well is used.  Credentials go to the
// host they are for only, and survive no redirect to another.  Any thread.
class RegistryClient {
 public:
  // Both are borrowed.
  explicit RegistryClient(const v1::PullRequest& request) : request_(request) {}

  struct ManifestText {
    std::string json;
    std::string digest;  // computed from the text
  };

  // `reference`: a tag or a digest; text that has another digest is DataLoss.
  absl::StatusOr<ManifestText> GetManifest(const std::string& reference);

  // A whole blob of at most `max_bytes`, checked against its digest.
  absl::StatusOr<std::string> GetBlob(const std::string& digest,
                                      size_t max_bytes);

  // The bytes of a blob as they come; the end is an error (DataLoss) when
  // their digest differs.
  absl::StatusOr<std::unique_ptr<image::ByteSource>> OpenBlob(
      const std::string& digest);

 private:
  const v1::PullRequest& request_;
};

}  // namespace caisson::puller
