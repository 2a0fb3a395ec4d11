#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caisson {

struct DirectoryEntry {
  std::string name;
  // DT_DIR and so on (readdir(3)); DT_UNKNOWN where the filesystem says none.
  unsigned char type = 0;
};

// The entries of the directory `path` but "." and "..", in no order.  NotFound
// when there is none.
absl::StatusOr<std::vector<DirectoryEntry>> ListDirectory(
    const std::string& path);

// Calls `visit` for each entry of an open directory (O_PATH will do), of which
// no list is kept.  Ends with the first error of `visit`, and returns it.
absl::Status VisitDirectory(
    int directory,
    absl::FunctionRef<absl::Status(const DirectoryEntry& entry)> visit);

}  // namespace caisson
