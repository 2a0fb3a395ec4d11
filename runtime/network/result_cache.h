#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/json.h"
#include "runtime/network/cni.h"
#include "runtime/network/configuration.h"

// What DEL needs of ADD: DIRECTORY/POD_ID.json, each replaced as a whole.
// Not synced: that would cost each pod two flushes of the disk.  What a power
// cut tears or loses, DEL can do without (Cni::Delete()).
namespace caisson::network {

struct CachedAdd {
  Attachment attachment;
  Configuration configuration;  // without plugins: not known any more
  json::Value result;           // null: ADD did not finish
};

// Makes the directory, too.
absl::Status WriteCache(const std::string& directory, const CachedAdd& add);

// NotFound: nothing was attached.  Anything else: the file can't be used.
absl::StatusOr<CachedAdd> ReadCache(const std::string& directory,
                                    const std::string& pod_id);

// The same of a file that can't be used: it is set aside with a log line, and
// one with no more than `attachment` takes its place, so that a DEL that fails
// is not forgotten.
absl::StatusOr<CachedAdd> ReadOrMendCache(const std::string& directory,
                                          const Attachment& attachment);

// Idempotent.
absl::Status RemoveCache(const std::string& directory,
                         const std::string& pod_id);

// Whose files there are.
absl::StatusOr<std::vector<std::string>> ListCache(
    const std::string& directory);

}  // namespace caisson::network
