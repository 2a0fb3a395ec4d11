#include "runtime/base/id.h"

#include <sys/random.h>

#include <cstdlib>

#include "absl/strings/escaping.h"

namespace caisson {
namespace {
constexpr size_t kIdBytes = 32;
}  // namespace

std::string GenerateId() {
  char bytes[kIdBytes];
  // Up to 256 bytes come whole and uninterrupted once the pool is seeded:
  // getrandom(2).  Without randomness no id is safe to hand out.
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
    abort();
  }
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

bool IsGeneratedId(absl::string_view id) {
  if (id.size() != 2 * kIdBytes) {
    return false;
  }
  for (const char c : id) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
  }
  return true;
}

}  // namespace caisson
