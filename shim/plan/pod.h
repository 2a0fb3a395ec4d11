#pragma once

#include <map>
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
  // Those that name a network interface of the pod's own, which is there only
  // after CNI's ADD: name, with dots or, where the interface has a dot in its
  // name, with slashes ("net/ipv4/conf/eth0.5/forwarding"), -> value.  The
  // rest is in plan.sysctls.
  std::map<std::string, std::string> network_sysctls;
  // Text of /etc/resolv.conf; empty: the host's.
  std::string resolv_conf;
  // Without id, maps, directory, SELinux context and fds.
  keeper::v1::PodPlan plan;
};

// Pure.  InvalidArgument names the field and its value; NotFound an unknown
// handler.  `node_hostname` is the machine's (kernel::Hostname()).
absl::StatusOr<PodDecision> PlanPod(
    const runtime::v1::RunPodSandboxRequest& request,
    const config::Config& config, const Selinux& selinux,
    const std::string& node_hostname);

// What the pod's containers see as the name of their host: the node's in a pod
// that shares the node's network, and with it its UTS namespace.  For
// /etc/hostname and HOSTNAME alike.
std::string PodHostname(const runtime::v1::PodSandboxConfig& config,
                        const std::string& node_hostname);

// sysctls.cc: those of the pod's own namespaces, after these, the users and
// the ids are decided.  A group range is cut to the groups that the pod has.
absl::Status AddSysctls(const runtime::v1::LinuxPodSandboxConfig& config,
                        PodDecision& decision);

}  // namespace caisson::plan
