#include "shim/plan/pod.h"

#include <arpa/inet.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/systemd.h"
#include "shim/plan/check.h"

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;

constexpr size_t kMaxHostname = 64;
constexpr uint32_t kFirstExtraId = 65536;

// It becomes one of the arguments in CNI_ARGS, which have no quoting.
absl::Status CheckArgument(absl::string_view field, absl::string_view value,
                           bool may_be_empty) {
  RETURN_IF_ERROR(CheckName(field, value, may_be_empty));
  if (value.find_first_of(";=") != absl::string_view::npos) {
    return Refuse(field, value, "has a separator of CNI's arguments");
  }
  return absl::OkStatus();
}

absl::Status CheckMetadata(const cri::PodSandboxConfig& config) {
  if (!config.has_metadata()) {
    return Refuse("config.metadata", "", "is missing");
  }
  const cri::PodSandboxMetadata& metadata = config.metadata();
  RETURN_IF_ERROR(
      CheckArgument("config.metadata.name", metadata.name(), false));
  RETURN_IF_ERROR(
      CheckArgument("config.metadata.namespace", metadata.namespace_(), true));
  RETURN_IF_ERROR(CheckArgument("config.metadata.uid", metadata.uid(), true));
  if (!config.log_directory().empty()) {
    return CheckPlainPath("config.log_directory", config.log_directory());
  }
  return absl::OkStatus();
}

absl::Status ChooseHandler(const std::string& asked,
                           const config::Config& config,
                           PodDecision& decision) {
  decision.handler = asked.empty() ? config.default_handler : asked;
  if (!config.handlers.contains(decision.handler)) {
    return absl::NotFoundError(
        Refuse("runtime_handler", asked, "is not configured").message());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<identity::IdExtent>> ReadMap(
    const google::protobuf::RepeatedPtrField<cri::IDMapping>& map,
    const std::string& field) {
  std::vector<identity::IdExtent> extents;
  for (const cri::IDMapping& line : map) {
    extents.push_back({line.container_id(), line.host_id(), line.length()});
  }
  if (extents.size() != 1) {
    return Refuse(field, absl::StrCat(extents.size(), " mappings"),
                  "must be one mapping");
  }
  RETURN_IF_ERROR(identity::CheckMap(extents, field));
  if (extents[0].length < identity::kSlotLength) {
    return Refuse(field, absl::StrCat(extents[0].length, " ids"),
                  "is not all of 0..65535");
  }
  return extents;
}

absl::Status ReadGivenMaps(const cri::UserNamespace& options,
                           PodDecision& decision) {
  const std::string field =
      "config.linux.security_context.namespace_options.userns_options";
  ASSIGN_OR_RETURN(decision.given_uids,
                   ReadMap(options.uids(), field + ".uids"));
  ASSIGN_OR_RETURN(decision.given_gids,
                   ReadMap(options.gids(), field + ".gids"));
  if (decision.given_uids != decision.given_gids) {
    return Refuse(field, "gids", "differ from uids");
  }
  return absl::OkStatus();
}

// DESIGN: under "always" a pod gets a range of its own unless it asks for the
// host by name.
absl::Status ChooseUsers(const cri::LinuxSandboxSecurityContext& security,
                         const config::Config& config, PodDecision& decision) {
  const cri::NamespaceOption& options = security.namespace_options();
  const bool host_namespace = options.network() == cri::NODE ||
                              options.pid() == cri::NODE ||
                              options.ipc() == cri::NODE;
  if (options.has_userns_options() &&
      options.userns_options().mode() == cri::POD) {
    decision.users = UserNamespace::kGiven;
    return ReadGivenMaps(options.userns_options(), decision);
  }
  if (options.has_userns_options() &&
      options.userns_options().mode() != cri::NODE) {
    return Refuse(
        "config.linux.security_context.namespace_options.userns_options.mode",
        absl::StrCat(options.userns_options().mode()), "is not supported");
  }
  const config::Handler& handler = config.handlers.at(decision.handler);
  const bool always =
      handler.user_namespace == config::UserNamespacePolicy::kAlways;
  decision.users = always && !security.privileged() && !host_namespace
                       ? UserNamespace::kLeased
                       : UserNamespace::kHost;
  return absl::OkStatus();
}

absl::Status CollectIds(const cri::LinuxSandboxSecurityContext& security,
                        PodDecision& decision) {
  const std::string field = "config.linux.security_context.";
  std::vector<int64_t> ids;
  if (security.has_run_as_user()) {
    ids.push_back(security.run_as_user().value());
    RETURN_IF_ERROR(CheckId(field + "run_as_user.value", ids.back()));
  }
  if (security.has_run_as_group()) {
    ids.push_back(security.run_as_group().value());
    RETURN_IF_ERROR(CheckId(field + "run_as_group.value", ids.back()));
  }
  for (const int64_t group : security.supplemental_groups()) {
    RETURN_IF_ERROR(CheckId(field + "supplemental_groups", group));
    ids.push_back(group);
  }
  for (const int64_t id : ids) {
    if (id >= kFirstExtraId) {
      decision.extra_ids.push_back(static_cast<uint32_t>(id));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHostname(const std::string& hostname) {
  RETURN_IF_ERROR(CheckText("config.hostname", hostname, kMaxHostname, true));
  for (const char c : hostname) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '.' && c != '_') {
      return Refuse("config.hostname", hostname, "is not a host's name");
    }
  }
  return absl::OkStatus();
}

// The modes that a pod's own namespaces can have; CONTAINER is for pid.
absl::Status CheckMode(absl::string_view name, cri::NamespaceMode mode) {
  if (mode != cri::POD && mode != cri::NODE) {
    return Refuse(
        absl::StrCat("config.linux.security_context.namespace_options.", name),
        absl::StrCat(static_cast<int>(mode)), "is neither POD nor NODE");
  }
  return absl::OkStatus();
}

absl::Status ChooseNamespaces(const cri::PodSandboxConfig& config,
                              const std::string& node_hostname,
                              PodDecision& decision) {
  const cri::NamespaceOption& options =
      config.linux().security_context().namespace_options();
  RETURN_IF_ERROR(CheckMode("network", options.network()));
  RETURN_IF_ERROR(CheckMode("ipc", options.ipc()));
  keeper::v1::PodPlan& plan = decision.plan;
  const bool own_network = options.network() != cri::NODE;
  plan.set_own_network(own_network);
  plan.set_own_uts(own_network);
  plan.set_own_ipc(options.ipc() != cri::NODE);
  RETURN_IF_ERROR(CheckHostname(config.hostname()));
  plan.set_hostname(PodHostname(config, node_hostname));
  return absl::OkStatus();
}

// What other runtimes give a network of its own: no port in it is another's,
// and an echo is no privilege.  Groups must be ones that the pod has.
void AddNetworkDefaults(PodDecision& decision) {
  if (!decision.plan.own_network()) {
    return;
  }
  auto& sysctls = *decision.plan.mutable_sysctls();
  // Leaves alone what the request says.
  sysctls.insert({"net.ipv4.ip_unprivileged_port_start", "0"});
  sysctls.insert(
      {"net.ipv4.ping_group_range",
       decision.users == UserNamespace::kHost ? "0 2147483647" : "0 65535"});
}

constexpr char kCgroupParent[] = "config.linux.cgroup_parent";

absl::Status PlanSlice(const std::string& parent, const config::Config& config,
                       PodDecision& decision) {
  const std::string fallback =
      absl::StrCat(absl::StripSuffix(config.cgroup.parent, ".slice"), ".slice");
  const std::string& slice = parent.empty() ? fallback : parent;
  absl::StatusOr<std::string> path = cgroup::ExpandSlice(slice);
  if (!path.ok() && !parent.empty()) {
    return Refuse(kCgroupParent, parent, path.status().message());
  }
  RETURN_IF_ERROR(Annotate(path.status(), "cgroup.parent"));
  decision.cgroup_parent = *std::move(path);
  decision.slice = slice.substr(slice.rfind('/') + 1);
  return absl::OkStatus();
}

absl::Status PlanCgroupParent(const std::string& parent,
                              const config::Config& config,
                              PodDecision& decision) {
  RETURN_IF_ERROR(CheckText(kCgroupParent, parent, 4095, true));
  for (absl::string_view part : absl::StrSplit(parent, '/')) {
    if (part == ".." || part == ".") {
      return Refuse(kCgroupParent, parent, "leaves its parent");
    }
  }
  if (config.cgroup.UsesSystemd()) {
    return PlanSlice(parent, config, decision);
  }
  if (parent.empty()) {
    return absl::OkStatus();
  }
  if (absl::EndsWith(parent, ".slice")) {
    return Refuse(kCgroupParent, parent,
                  "is a systemd slice; the cgroup driver here is cgroupfs");
  }
  const std::vector<std::string> parts =
      absl::StrSplit(parent, '/', absl::SkipEmpty());
  decision.cgroup_parent = absl::StrJoin(parts, "/");
  return absl::OkStatus();
}

absl::Status CheckPort(const cri::PortMapping& port) {
  if (port.host_port() < 0 || port.host_port() > 65535 ||
      port.container_port() < 0 || port.container_port() > 65535) {
    return Refuse("config.port_mappings",
                  absl::StrCat(port.host_port(), ":", port.container_port()),
                  "is out of range 0..65535");
  }
  if (!cri::Protocol_IsValid(port.protocol())) {
    return Refuse("config.port_mappings.protocol",
                  absl::StrCat(static_cast<int>(port.protocol())),
                  "is unknown");
  }
  in6_addr address;
  const std::string& text = port.host_ip();
  RETURN_IF_ERROR(CheckText("config.port_mappings.host_ip", text, 64, true));
  if (!text.empty() && inet_pton(AF_INET, text.c_str(), &address) != 1 &&
      inet_pton(AF_INET6, text.c_str(), &address) != 1) {
    return Refuse("config.port_mappings.host_ip", text, "is not an address");
  }
  return absl::OkStatus();
}

absl::Status AddPorts(const cri::PodSandboxConfig& config,
                      PodDecision& decision) {
  for (const cri::PortMapping& port : config.port_mappings()) {
    RETURN_IF_ERROR(CheckPort(port));
    if (port.host_port() == 0) {
      continue;
    }
    const char* protocol = port.protocol() == cri::UDP    ? "udp"
                           : port.protocol() == cri::SCTP ? "sctp"
                                                          : "tcp";
    decision.ports.push_back(
        {port.host_port(), port.container_port(), protocol, port.host_ip()});
  }
  return absl::OkStatus();
}

absl::Status WriteResolvConf(const cri::DNSConfig& dns, PodDecision& decision) {
  const auto check = [](const auto& list, const char* field) {
    for (const std::string& value : list) {
      RETURN_IF_ERROR(CheckText(field, value, 256, false));
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(check(dns.servers(), "config.dns_config.servers"));
  RETURN_IF_ERROR(check(dns.searches(), "config.dns_config.searches"));
  RETURN_IF_ERROR(check(dns.options(), "config.dns_config.options"));
  std::string& text = decision.resolv_conf;
  if (dns.searches_size() > 0) {
    absl::StrAppend(&text, "search ", absl::StrJoin(dns.searches(), " "), "\n");
  }
  for (const std::string& server : dns.servers()) {
    absl::StrAppend(&text, "nameserver ", server, "\n");
  }
  if (dns.options_size() > 0) {
    absl::StrAppend(&text, "options ", absl::StrJoin(dns.options(), " "), "\n");
  }
  return absl::OkStatus();
}

}  // namespace

std::string PodHostname(const cri::PodSandboxConfig& config,
                        const std::string& node_hostname) {
  const cri::NamespaceOption& options =
      config.linux().security_context().namespace_options();
  if (options.network() == cri::NODE) {
    return node_hostname;
  }
  return config.hostname().empty()
             ? config.metadata().name().substr(0, kMaxHostname)
             : config.hostname();
}

absl::StatusOr<PodDecision> PlanPod(const cri::RunPodSandboxRequest& request,
                                    const config::Config& config,
                                    const Selinux& selinux,
                                    const std::string& node_hostname) {
  const cri::PodSandboxConfig& pod = request.config();
  PodDecision decision;
  RETURN_IF_ERROR(CheckMetadata(pod));
  RETURN_IF_ERROR(ChooseHandler(request.runtime_handler(), config, decision));
  RETURN_IF_ERROR(
      ChooseUsers(pod.linux().security_context(), config, decision));
  RETURN_IF_ERROR(CollectIds(pod.linux().security_context(), decision));
  RETURN_IF_ERROR(ChooseNamespaces(pod, node_hostname, decision));
  // Only checked: the level is not chosen yet.
  RETURN_IF_ERROR(
      ChooseContexts(selinux, pod.linux().security_context().selinux_options(),
                     "s0", false,
                     "config.linux.security_context.selinux_options")
          .status());
  RETURN_IF_ERROR(AddSysctls(pod.linux(), decision));
  AddNetworkDefaults(decision);
  RETURN_IF_ERROR(
      PlanCgroupParent(pod.linux().cgroup_parent(), config, decision));
  RETURN_IF_ERROR(AddPorts(pod, decision));
  RETURN_IF_ERROR(WriteResolvConf(pod.dns_config(), decision));
  decision.plan.set_shm_bytes(config.limits.shm_bytes);
  return decision;
}

}  // namespace caisson::plan
