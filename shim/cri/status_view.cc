#include "shim/cri/status_view.h"

#include <string>
#include <vector>

namespace caisson::cri {
namespace {

void AddCondition(const char* type, const absl::Status& status,
                  v1::RuntimeStatus& out) {
  v1::RuntimeCondition& condition = *out.add_conditions();
  condition.set_type(type);
  condition.set_status(status.ok());
  if (!status.ok()) {
    condition.set_reason("NotReady");
    condition.set_message(std::string(status.message()));
  }
}

}  // namespace

void FillRuntimeStatus(const config::Config& config,
                       const absl::Status& network,
                       v1::StatusResponse& response) {
  v1::RuntimeStatus& status = *response.mutable_status();
  AddCondition("RuntimeReady", absl::OkStatus(), status);
  AddCondition("NetworkReady", network, status);
  std::vector<std::string> names = {""};
  for (const auto& [name, handler] : config.handlers) {
    names.push_back(name);
  }
  for (const std::string& name : names) {
    v1::RuntimeHandler& handler = *response.add_runtime_handlers();
    handler.set_name(name);
    handler.mutable_features()->set_recursive_read_only_mounts(true);
    handler.mutable_features()->set_user_namespaces(true);
  }
  v1::RuntimeFeatures& features = *response.mutable_features();
  features.set_supplemental_groups_policy(true);
  features.set_user_namespaces_host_network(true);
  features.set_mount_options(true);
}

}  // namespace caisson::cri
