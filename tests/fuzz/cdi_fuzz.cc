#include <cstdint>

#include "runtime/device/name.h"
#include "runtime/device/spec.h"
#include "runtime/device/yaml.h"
#include "tests/fuzz/check.h"

namespace {

void CheckEdits(const caisson::device::Edits& edits) {
  for (const std::string& variable : edits.env) {
    FUZZ_CHECK(variable.find('=') != std::string::npos && variable[0] != '=');
    FUZZ_CHECK(variable.find('\0') == std::string::npos);
  }
  for (const auto& node : edits.nodes) {
    FUZZ_CHECK(node.path[0] == '/' && node.host_path[0] == '/');
    FUZZ_CHECK((node.path + "/").find("/../") == std::string::npos);
  }
  for (const auto& mount : edits.mounts) {
    FUZZ_CHECK(mount.host_path[0] == '/' && mount.container_path[0] == '/');
    FUZZ_CHECK((mount.container_path + "/").find("/../") == std::string::npos);
  }
  for (const auto& hook : edits.hooks) {
    FUZZ_CHECK(hook.path[0] == '/' && hook.timeout_seconds <= 3600);
  }
}

void CheckSpec(absl::string_view text, absl::string_view file) {
  const auto spec = caisson::device::ParseSpecText(text, file);
  if (!spec.ok()) {
    return;
  }
  FUZZ_CHECK(caisson::device::IsKind(spec->kind) && !spec->devices.empty());
  CheckEdits(spec->edits);
  for (const auto& device : spec->devices) {
    FUZZ_CHECK(caisson::device::IsDevice(device.name));
    FUZZ_CHECK(!device.edits.empty());
    CheckEdits(device.edits);
  }
}

}  // namespace

// The text is a spec in JSON and in YAML.  What is YAML is JSON once more.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  CheckSpec(text, "f.json");
  CheckSpec(text, "f.yaml");
  const auto value = caisson::device::ParseYaml(text, "f");
  if (value.ok()) {
    FUZZ_CHECK(caisson::json::Parse(caisson::json::Dump(*value), "again").ok());
  }
  return 0;
}
