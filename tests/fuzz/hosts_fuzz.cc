#include <cstdint>

#include "absl/strings/match.h"
#include "runtime/image/hosts.h"
#include "tests/fuzz/check.h"

// A file that is accepted names hosts by plain URLs, the server last.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto hosts = caisson::image::ParseHosts(text, "f", "r.example");
  if (!hosts.ok()) {
    return 0;
  }
  FUZZ_CHECK(!hosts->empty() && hosts->back().is_origin);
  for (const caisson::image::RegistryHost& host : *hosts) {
    FUZZ_CHECK(absl::StartsWith(host.url, "http://") ||
               absl::StartsWith(host.url, "https://"));
    FUZZ_CHECK(host.url.find_first_of(" @?#\n", 0, 5) == std::string::npos);
    FUZZ_CHECK(host.api_path.empty() || host.api_path.front() == '/');
  }
  return 0;
}
