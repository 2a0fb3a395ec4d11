#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/json.h"
#include "runtime/network/configuration.h"

namespace caisson::network {

// What ADD used and got, for DEL.  Lost with a power cut, as the network is.
struct CachedAdd {
  Configuration configuration;
  json::Value result;  // null: ADD did not finish
};

absl::Status WriteCache(const std::string& directory, const std::string& pod_id,
                        const CachedAdd& add);
// NotFound: nothing was attached.
absl::StatusOr<CachedAdd> ReadCache(const std::string& directory,
                                    const std::string& pod_id);
// Idempotent.
absl::Status RemoveCache(const std::string& directory,
                         const std::string& pod_id);

}  // namespace caisson::network
