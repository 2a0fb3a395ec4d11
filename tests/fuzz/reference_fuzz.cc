#include <cstdint>

#include "absl/strings/match.h"
#include "runtime/image/image_store.h"
#include "runtime/image/sha256.h"
#include "tests/fuzz/check.h"

// A name that is accepted is written and read again as the same, and its
// registry is fit to be a folder's name (hosts.toml).
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using caisson::image::ParseReference;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = ParseReference(text);
  if (!first.ok()) {
    FUZZ_CHECK(first.status().message().size() < 1024);
    return 0;
  }
  FUZZ_CHECK(!first->registry.empty() && first->registry.front() != '.');
  FUZZ_CHECK(!absl::StrContains(first->registry, "/"));
  FUZZ_CHECK(!absl::StrContains(first->registry, ".."));
  FUZZ_CHECK(!absl::StrContains(first->repository, ".."));
  FUZZ_CHECK(first->tag.size() <= 128);
  FUZZ_CHECK(first->digest.empty() ||
             caisson::image::IsSha256Digest(first->digest));
  FUZZ_CHECK(!first->tag.empty() || !first->digest.empty());
  const auto second = ParseReference(first->Name());
  FUZZ_CHECK(second.ok());
  FUZZ_CHECK(second->Name() == first->Name());
  return 0;
}
