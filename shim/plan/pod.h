#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/identity/id_map.h"
#include "runtime/network/cni.h"
#include "shim/config/config.h"
#include "shim/plan/selinux.h"

namespace caisson::plan {

enum class UserNamespace {
  kHost,    // the host's: asked for by name
  kLeased,  // a range of its own, leased by us
  kGiven,   // the mappings of the request
};

// A checked RunPodSandbox request, as what is to be done.
struct PodDecision {
  std::string handler;
  UserNamespace users = UserNamespace::kHost;
  std::vector<identity::IdExtent> given_uids;
  std::vector<identity::IdExtent> given_gids;
  // Ids of 65536 and up that the configuration names: to be mapped one by
  // one.
  std::vector<uint32_t> extra_ids;
  // Relative path; empty: none asked for.  With the systemd driver always that
  // of a slice, whose name is `slice`.
  std::string cgroup_parent;
  std::string slice;
  std::vector<network::PortMapping> ports;
  // Text of /etc/resolv.conf; empty: the host's.
  std::string resolv_conf;
  // Without id, maps, directory, SELinux context and fds.
  keeper::v1::PodPlan plan;
};

// Pure.  InvalidArgument names the field and its value; NotFound an unknown
// handler.
absl::StatusOr<PodDecision> PlanPod(
    const runtime::v1::RunPodSandboxRequest& request,
    const config::Config& config, const Selinux& selinux);

}  // namespace caisson::plan
