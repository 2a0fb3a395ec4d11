#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "shim/ctl/check_probes.h"
#include "shim/ctl/commands.h"
#include "shim/ctl/table.h"

namespace caisson::ctl {
namespace {

struct Fact {
  const char* name;
  absl::StatusOr<std::string> (*probe)();
  bool needed;       // caissond refuses to start without it
  const char* cost;  // of not having it
};

constexpr Fact kFacts[] = {
    {"kernel 6.12", ProbeKernel, true,
     "layers can't be mounted from their files"},
    {"erofs", ProbeErofs, true, "images can't be mounted"},
    {"overlay", ProbeOverlay, true, "containers have no writable root"},
    {"user namespaces", ProbeUserNamespaces, true,
     "root in a pod would be root of the host"},
    {"id-mapped mounts", ProbeIdMappedMounts, true,
     "volumes and layers would belong to nobody"},
    {"pidfd", ProbePidfd, true, "processes can't be watched safely"},
    {"seccomp", ProbeSeccomp, true, "system calls can't be filtered"},
    {"cgroup v2 tree", ProbeCgroup2, false,
     "one is mounted by caissond for kill, freeze and events"},
    {"cgroup controllers", ProbeControllers, false,
     "limits of the missing kind are refused or not applied"},
    {"landlock", ProbeLandlock, false, "images can't be pulled"},
    {"CAP_SYS_RESOURCE", ProbeResourceCapability, false,
     "limits can't be raised, oom_score_adj can't be lowered"},
};

}  // namespace

absl::StatusOr<int> Check() {
  if (::geteuid() != 0) {
    return absl::PermissionDeniedError("check machine: must run as root");
  }
  std::vector<std::vector<std::string>> rows;
  bool below_floor = false;
  for (const Fact& fact : kFacts) {
    const absl::StatusOr<std::string> found = fact.probe();
    if (found.ok()) {
      rows.push_back({fact.name, "ok", *found});
      continue;
    }
    below_floor = below_floor || fact.needed;
    rows.push_back({fact.name, fact.needed ? "MISSING" : "missing",
                    std::string(found.status().message()) + ": " + fact.cost});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  if (below_floor) {
    std::puts("caissond does not start on this machine");
  }
  return below_floor ? 1 : 0;
}

}  // namespace caisson::ctl
