#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::image {

// A file as the image's bytes describe it.
struct ErofsFile {
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t links = 0;
  uint64_t nid = 0;
  int64_t mtime = 0;
  uint32_t device = 0;
  std::string content;  // of regular files and symlinks
  std::map<std::string, std::string> xattrs;
};

// Reads an EROFS image (uncompressed, extended inodes), checking every offset
// and the order of names, as a second opinion on the writer.  By path, "" is
// the root.
absl::StatusOr<std::map<std::string, ErofsFile>> ReadErofs(
    absl::string_view image);

}  // namespace caisson::image
