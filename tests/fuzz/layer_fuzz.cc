#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "runtime/base/unique_fd.h"
#include "runtime/image/layer_convert.h"
#include "tests/fuzz/check.h"
#include "tests/unit/layer/erofs_reader.h"

namespace {

namespace image = caisson::image;

class Input : public image::ByteSource {
 public:
  explicit Input(absl::string_view bytes) : left_(bytes) {}

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    const size_t part = std::min(size, left_.size());
    memcpy(buffer, left_.data(), part);
    left_.remove_prefix(part);
    return part;
  }

 private:
  absl::string_view left_;
};

// Puts the right checksum into every header, or no change of one would get
// past the first check.
void RepairChecksums(std::string& tar) {
  for (size_t at = 0; at + 512 <= tar.size();) {
    memset(&tar[at + 148], ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) {
      sum += static_cast<unsigned char>(tar[at + i]);
    }
    if (sum == 8 * ' ') {  // the end's empty block
      memset(&tar[at + 148], 0, 8);
    } else {
      char text[8];
      snprintf(text, sizeof(text), "%06o", sum);
      memcpy(&tar[at + 148], text, 7);
    }
    const std::string size = tar.substr(at + 124, 12);
    const uint64_t bytes = strtoull(size.c_str(), nullptr, 8);
    at +=
        512 + static_cast<size_t>(std::min<uint64_t>(bytes, tar.size()) + 511) /
                  512 * 512;
  }
}

}  // namespace

// The first byte chooses the compression and whether headers are repaired.
// Whatever is converted reads back as a sound image.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto compression = image::Compression::kNone;
  switch (data[0] % 4) {
    case 0:
      RepairChecksums(bytes);
      break;
    case 1:
      compression = image::Compression::kGzip;
      break;
    case 2:
      compression = image::Compression::kZstd;
      break;
    default:
      break;
  }
  static const caisson::UniqueFd out(memfd_create("layer", MFD_CLOEXEC));
  FUZZ_CHECK(ftruncate(out.get(), 0) == 0);
  image::ConvertLimits limits;
  limits.max_bytes = 1 << 20;
  limits.max_entries = 1000;
  limits.max_user_database_bytes = 4096;
  Input input(bytes);
  const auto result =
      image::ConvertLayer(input, compression, out.get(), limits);
  if (!result.ok()) {
    return 0;
  }
  std::string written(result->file_bytes, '\0');
  FUZZ_CHECK(pread(out.get(), written.data(), written.size(), 0) ==
             static_cast<ssize_t>(written.size()));
  const auto files = image::ReadErofs(written);
  if (!files.ok()) {
    fprintf(stderr, "%s\n", std::string(files.status().message()).c_str());
  }
  FUZZ_CHECK(files.ok());
  for (const auto& [path, file] : *files) {
    FUZZ_CHECK(path != ".." && path.rfind("../", 0) != 0);
    FUZZ_CHECK(file.uid < 2147483648 && file.gid < 2147483648);
    FUZZ_CHECK(file.uid <= result->highest_id);
  }
  return 0;
}
