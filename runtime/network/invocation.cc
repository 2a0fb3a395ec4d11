#include "runtime/network/invocation.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"

namespace caisson::network {
namespace {

constexpr char kAnnotations[] = "io.kubernetes.cri.pod-annotations";
// IFNAMSIZ less the final zero.
constexpr size_t kMaxInterface = 15;

absl::Status CheckText(absl::string_view field, absl::string_view value,
                       absl::string_view forbidden) {
  for (char c : value) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) ||
        forbidden.find(c) != forbidden.npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          "network attachment: ", field, ": holds a forbidden character"));
    }
  }
  return absl::OkStatus();
}

// specification, section 2: alphanumeric first, then also _ . and -.
bool IsContainerId(absl::string_view id) {
  return !id.empty() && id.size() <= 128 &&
         absl::ascii_isalnum(static_cast<unsigned char>(id[0])) &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '_' || c == '.' || c == '-';
         });
}

bool HasCapability(const json::Value& plugin, absl::string_view name) {
  const json::Value* capabilities = json::Find(plugin, "capabilities");
  if (capabilities == nullptr) {
    return false;
  }
  return json::GetBool(*capabilities, name).value_or(false);
}

json::Value PortMappings(const Attachment& attachment) {
  json::Value list = json::Value::array();
  for (const PortMapping& port : attachment.ports) {
    if (port.host_port <= 0) {
      continue;
    }
    json::Value entry = json::Value::object();
    entry["hostPort"] = port.host_port;
    entry["containerPort"] = port.container_port;
    entry["protocol"] =
        port.protocol.empty() ? "tcp" : absl::AsciiStrToLower(port.protocol);
    if (!port.host_ip.empty()) {
      entry["hostIP"] = port.host_ip;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

// Whether entry `ip` of a result belongs to the pod's `interface`.  Results
// also list addresses of bridges and host ends.
bool BelongsTo(const json::Value& ip, const json::Value* interfaces,
               absl::string_view interface) {
  const json::Value* index = json::Find(ip, "interface");
  if (index == nullptr || !index->is_number_unsigned() ||
      interfaces == nullptr || !interfaces->is_array()) {
    return true;
  }
  const uint64_t number = index->get<uint64_t>();
  if (number >= interfaces->size()) {
    return true;
  }
  const json::Value& entry = (*interfaces)[number];
  return json::GetString(entry, "name").value_or("") ==
             std::string(interface) &&
         !json::GetString(entry, "sandbox").value_or("").empty();
}

}  // namespace

absl::Status CheckAttachment(const Attachment& attachment) {
  if (!IsContainerId(attachment.pod_id)) {
    return absl::InvalidArgumentError("network attachment: pod_id: not an id");
  }
  const std::string& interface = attachment.interface;
  if (interface.empty() || interface.size() > kMaxInterface ||
      interface == "." || interface == "..") {
    return absl::InvalidArgumentError(
        "network attachment: interface: not a name of 1 to 15 characters");
  }
  RETURN_IF_ERROR(CheckText("interface", interface, "/: "));
  RETURN_IF_ERROR(CheckText("netns_path", attachment.netns_path, ""));
  RETURN_IF_ERROR(CheckText("pod_name", attachment.pod_name, ";="));
  RETURN_IF_ERROR(CheckText("pod_namespace", attachment.pod_namespace, ";="));
  RETURN_IF_ERROR(CheckText("pod_uid", attachment.pod_uid, ";="));
  for (const PortMapping& port : attachment.ports) {
    if (port.host_port < 0 || port.host_port > 65535 ||
        port.container_port < 0 || port.container_port > 65535) {
      return absl::InvalidArgumentError(
          absl::StrCat("network attachment: port ", port.host_port, ":",
                       port.container_port, ": not in 0..65535"));
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> MakeEnvironment(
    const Attachment& attachment, absl::string_view command,
    const std::vector<std::string>& bin_dirs) {
  const char* path = getenv("PATH");
  return {
      absl::StrCat("CNI_COMMAND=", command),
      absl::StrCat("CNI_CONTAINERID=", attachment.pod_id),
      absl::StrCat("CNI_NETNS=", attachment.netns_path),
      absl::StrCat("CNI_IFNAME=", attachment.interface),
      absl::StrCat("CNI_PATH=", absl::StrJoin(bin_dirs, ":")),
      absl::StrCat("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=",
                   attachment.pod_namespace,
                   ";K8S_POD_NAME=", attachment.pod_name,
                   ";K8S_POD_INFRA_CONTAINER_ID=", attachment.pod_id,
                   ";K8S_POD_UID=", attachment.pod_uid),
      // Plugins look for iptables in it.
      absl::StrCat("PATH=",
                   path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
  };
}

std::string MakeInput(const Configuration& configuration, size_t index,
                      const Attachment& attachment,
                      const json::Value& previous) {
  json::Value input = configuration.plugins[index];
  json::Value runtime = json::Value::object();
  if (HasCapability(input, "portMappings")) {
    json::Value ports = PortMappings(attachment);
    if (!ports.empty()) {
      runtime["portMappings"] = std::move(ports);
    }
  }
  if (HasCapability(input, kAnnotations) && !attachment.annotations.empty()) {
    runtime[kAnnotations] = attachment.annotations;
  }
  input.erase("capabilities");
  if (!runtime.empty()) {
    input["runtimeConfig"] = std::move(runtime);
  }
  input["name"] = configuration.name;
  input["cniVersion"] = configuration.version;
  if (!previous.is_null()) {
    input["prevResult"] = previous;
  }
  return json::Dump(input);
}

absl::StatusOr<Addresses> ReadAddresses(const json::Value& result,
                                        absl::string_view interface) {
  Addresses addresses;
  const json::Value* ips = json::Find(result, "ips");
  const json::Value* interfaces = json::Find(result, "interfaces");
  if (ips != nullptr && ips->is_array()) {
    for (const json::Value& ip : *ips) {
      ASSIGN_OR_RETURN(const std::string address,
                       json::GetString(ip, "address"));
      if (!address.empty() && BelongsTo(ip, interfaces, interface)) {
        addresses.ips.push_back(address.substr(0, address.find('/')));
      }
    }
  }
  if (addresses.ips.empty()) {
    return absl::NotFoundError(
        absl::StrCat("read network result: no address for ", interface));
  }
  return addresses;
}

}  // namespace caisson::network
