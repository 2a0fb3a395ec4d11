#pragma once

#include <cstddef>

#include "absl/status/statusor.h"

namespace caisson::image {

// A stream of bytes that is read once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fills up to `size` bytes; 0 is the end of the stream.
  virtual absl::StatusOr<size_t> Read(char* buffer, size_t size) = 0;
};

}  // namespace caisson::image
