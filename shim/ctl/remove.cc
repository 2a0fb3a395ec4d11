#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/ctl/client.h"
#include "shim/ctl/commands.h"

namespace caisson::ctl {
namespace {

absl::Status RemovePod(Client& client, const std::string& id) {
  cri::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(id);
  RETURN_IF_ERROR(client.Call(&RuntimeApi::StopPodSandbox, stop).status());
  cri::RemovePodSandboxRequest remove;
  remove.set_pod_sandbox_id(id);
  return client.Call(&RuntimeApi::RemovePodSandbox, remove).status();
}

}  // namespace

absl::StatusOr<int> RemoveAll(const std::string& endpoint) {
  Client client(endpoint);
  ASSIGN_OR_RETURN(
      const cri::ListPodSandboxResponse pods,
      client.Call(&RuntimeApi::ListPodSandbox, cri::ListPodSandboxRequest()));
  absl::Status status;
  for (const cri::PodSandbox& pod : pods.items()) {
    // One that can't be removed doesn't keep the others.
    status.Update(Annotate(RemovePod(client, pod.id()),
                           absl::StrCat("remove pod ", pod.id())));
  }
  RETURN_IF_ERROR(status);
  return 0;
}

}  // namespace caisson::ctl
