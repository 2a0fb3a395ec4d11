#include <cstdint>

#include "runtime/image/manifest.h"
#include "runtime/image/sha256.h"
#include "tests/fuzz/check.h"

// Whatever is accepted holds digests and nothing else where files will be
// named by it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace image = caisson::image;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = image::ParseManifest(text);
  if (manifest.ok() && !manifest->platform_manifest.empty()) {
    FUZZ_CHECK(image::IsSha256Digest(manifest->platform_manifest));
    FUZZ_CHECK(manifest->layers.empty());
  } else if (manifest.ok()) {
    FUZZ_CHECK(image::IsSha256Digest(manifest->config_digest));
    FUZZ_CHECK(manifest->layers.size() <= image::kMaxLayers);
    for (const image::LayerDescriptor& layer : manifest->layers) {
      FUZZ_CHECK(image::IsSha256Digest(layer.digest));
      FUZZ_CHECK(layer.size <= INT64_MAX);
    }
  }
  const auto config = image::ParseConfig(text);
  if (config.ok()) {
    for (const std::string& id : config->diff_ids) {
      FUZZ_CHECK(image::IsSha256Digest(id));
    }
    FUZZ_CHECK(config->config.json.size() == size);
  }
  return 0;
}
