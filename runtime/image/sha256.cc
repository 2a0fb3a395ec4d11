#include "runtime/image/sha256.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace caisson::image {
namespace {

constexpr char kPrefix[] = "sha256:";
constexpr size_t kHexDigits = 64;

}  // namespace

Sha256::Sha256() {
  sha256_init(&context_);
}

void Sha256::Update(absl::string_view bytes) {
  sha256_update(&context_, bytes.size(),
                reinterpret_cast<const uint8_t*>(bytes.data()));
}

std::string Sha256::Digest() {
  uint8_t hash[SHA256_DIGEST_SIZE];
  sha256_digest(&context_, sizeof(hash), hash);
  return absl::StrCat(kPrefix,
                      absl::BytesToHexString(absl::string_view(
                          reinterpret_cast<const char*>(hash), sizeof(hash))));
}

std::string Sha256Digest(absl::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Digest();
}

bool IsSha256Digest(absl::string_view digest) {
  if (!absl::ConsumePrefix(&digest, kPrefix) || digest.size() != kHexDigits) {
    return false;
  }
  for (const char c : digest) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
  }
  return true;
}

}  // namespace caisson::image
