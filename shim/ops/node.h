#pragma once

#include <string>
#include <vector>

#include "api/cri/v1/api.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/cgroup/cgroup.h"
#include "shim/config/config.h"
#include "shim/plan/selinux.h"

namespace caisson::ops {

namespace v1 = ::runtime::v1;

// What the daemon was told and what its machine has, found at the start.
struct Node {
  config::Config config;
  cgroup::Layout layout;
  // Program of containers without devices of their own.
  UniqueFd device_filter;
  plan::Selinux selinux;
  // What each CPU has: masked in containers.
  std::vector<std::string> thermal_throttle;
  // /proc/sys/kernel/random/boot_id.
  std::string boot_id;

  // The name of the handler of a pod, which may name none.
  const std::string& HandlerName(const std::string& named) const {
    return named.empty() ? config.default_handler : named;
  }
};

}  // namespace caisson::ops
