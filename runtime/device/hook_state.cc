#include "runtime/device/hook_state.h"

#include "runtime/base/json.h"
#include "runtime/device/bundle.h"

namespace caisson::device {

std::string ToJson(const HookState& state) {
  json::Value value = json::Value::object();
  value["ociVersion"] = kOciVersion;
  value["id"] = state.id;
  value["status"] = state.status;
  if (state.pid != 0) {
    value["pid"] = state.pid;
  }
  value["bundle"] = state.bundle;
  value["annotations"] = state.annotations;
  return json::Dump(value);
}

}  // namespace caisson::device
