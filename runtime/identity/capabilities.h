#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::identity {

// Bit N is capability N of capabilities(7).
using CapabilitySet = uint64_t;

// "NET_ADMIN", "CAP_NET_ADMIN" or either in lower case; InvalidArgument names
// an unknown one.
absl::StatusOr<int> CapabilityFromName(absl::string_view name);
// "CAP_NET_ADMIN"; "CAP_63" for a number without a name.
std::string CapabilityName(int capability);
std::vector<std::string> CapabilityNames(CapabilitySet set);

// CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETPCAP NET_BIND_SERVICE
// KILL.
CapabilitySet DefaultCapabilities();
// All that the running kernel has (/proc/sys/kernel/cap_last_cap, read once).
CapabilitySet AllCapabilities();
// Those of them that this process may hand on: its bounding set, read once.
CapabilitySet HeldCapabilities();

struct CapabilityRequest {
  std::vector<std::string> add;  // names, or "ALL"
  std::vector<std::string> drop;
  std::vector<std::string> add_ambient;
  bool privileged = false;  // all, whatever add and drop say
  // What can be given at all: in the host's user namespace no more than
  // HeldCapabilities().  "All" is cut down to it.
  CapabilitySet available = ~uint64_t{0};
  CapabilitySet ceiling = ~uint64_t{0};
  std::string ceiling_of;  // the handler that has it
};

struct CapabilitySets {
  CapabilitySet bounding = 0;
  CapabilitySet permitted = 0;
  CapabilitySet effective = 0;
  CapabilitySet inheritable = 0;
  CapabilitySet ambient = 0;
};

// The five sets for a process of `uid`: defaults, then "ALL" of either list,
// then single names, drops last but for names that are added beside drop ALL.
// A process that isn't root keeps no permitted or effective ones but the
// ambient; inheritable equals ambient (CVE-2022-29162).  InvalidArgument for
// unknown names and beyond the ceiling, FailedPrecondition for a name that
// isn't available.
absl::StatusOr<CapabilitySets> ResolveCapabilities(
    const CapabilityRequest& request, uint32_t uid);

}  // namespace caisson::identity
