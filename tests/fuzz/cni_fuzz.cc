#include <cstdint>

#include "runtime/base/json.h"
#include "runtime/network/configuration.h"
#include "runtime/network/invocation.h"
#include "tests/fuzz/check.h"

// The text is both a configuration and a plugin's answer.  A configuration
// that is accepted is accepted again as it is kept, and can be handed on.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace network = caisson::network;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = caisson::json::Parse(text, "input");
  if (!value.ok()) {
    return 0;
  }
  const auto addresses = network::ReadAddresses(*value, "eth0");
  if (addresses.ok()) {
    FUZZ_CHECK(!addresses->ips.empty());
  }
  const auto configuration = network::ParseConfiguration(*value, "f");
  if (!configuration.ok()) {
    return 0;
  }
  FUZZ_CHECK(!configuration->plugins.empty());
  const auto again =
      network::ParseConfiguration(network::ToJson(*configuration), "f");
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(again->name == configuration->name);
  FUZZ_CHECK(again->version == configuration->version);
  network::Attachment attachment;
  attachment.pod_id = "p";
  attachment.annotations["a"] = "b";
  attachment.ports.push_back({80, 80, "tcp", ""});
  for (size_t i = 0; i < configuration->plugins.size(); ++i) {
    const std::string input =
        network::MakeInput(*configuration, i, attachment, *value);
    FUZZ_CHECK(caisson::json::Parse(input, "input").ok() ||
               size > 64);  // prevResult adds to the nesting
  }
  return 0;
}
