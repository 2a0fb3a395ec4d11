#pragma once

#include <map>
#include <string>

namespace caisson::device {

// The container as its hooks are told of it on standard input: the state of
// OCI's runtime specification.
struct HookState {
  std::string id;
  std::string status;  // creating, created, running or stopped
  int pid = 0;         // of the host; 0: none
  std::string bundle;  // the container's directory on the host
  std::map<std::string, std::string> annotations;
};

std::string ToJson(const HookState& state);

}  // namespace caisson::device
