#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "runtime/image/byte_source.h"

namespace caisson::image {

enum class Compression { kNone, kGzip, kZstd };

// Decompresses a stream: gzip (of several members, too) or zstd.  The source
// is borrowed.  Reads fail with DataLoss when it is malformed or cut short.
std::unique_ptr<ByteSource> Inflate(ByteSource& source,
                                    Compression compression);

}  // namespace caisson::image
