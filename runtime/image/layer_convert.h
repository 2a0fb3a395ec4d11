#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/image/byte_source.h"
#include "runtime/image/inflate.h"

namespace caisson::image {

// Bounds on what a layer may hold (catalogue D11, D12).
struct ConvertLimits {
  uint64_t max_bytes = uint64_t{64} << 30;  // of the tar stream
  uint64_t max_entries = 4000000;
  size_t max_xattr_bytes = 65536;            // of one file
  size_t max_user_database_bytes = 1 << 20;  // of /etc/passwd, /etc/group
};

// A file of the layer that user names are looked up in.
struct UserFile {
  // The layer holds it.
  std::optional<std::string> content;
  // The layer removes it from those below.
  bool removed = false;
};

struct LayerResult {
  std::string diff_id;  // "sha256:..." of the tar stream
  uint64_t file_bytes = 0;
  uint64_t entries = 0;
  uint32_t highest_id = 0;  // of users and groups
  UserFile passwd;
  UserFile group;
  // What was left out, for the log; at most a few lines.
  std::vector<std::string> notes;
};

// Turns a layer's tar stream into an EROFS image in the empty file `out`
// (borrowed), in one pass and without privileges.  Whiteouts become those of
// overlayfs; devices are left out with a note; of xattrs only
// security.capability and user.* are kept.  InvalidArgument for what no layer
// may hold, DataLoss for a broken stream, ResourceExhausted beyond a limit.
absl::StatusOr<LayerResult> ConvertLayer(ByteSource& compressed,
                                         Compression compression, int out,
                                         const ConvertLimits& limits);

}  // namespace caisson::image
