#pragma once

#include <nettle/sha2.h>

#include <string>

#include "absl/strings/string_view.h"

namespace caisson::image {

// SHA-256 of a stream.  By nettle, which uses the processor's instructions as
// OpenSSL does and takes 3 MB less of the daemon's memory.
class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(absl::string_view bytes);
  // "sha256:" and 64 hex digits; once, at the end.
  std::string Digest();

 private:
  sha256_ctx context_;
};

std::string Sha256Digest(absl::string_view bytes);

// Whether `digest` has the form that Digest() returns; ids and file names are
// made of nothing else.
bool IsSha256Digest(absl::string_view digest);

}  // namespace caisson::image
