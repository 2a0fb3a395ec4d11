#include <cstdio>

#include "shim/ctl/client.h"
#include "shim/ctl/commands.h"

namespace caisson::ctl {

absl::StatusOr<int> Version(const std::string& endpoint) {
  std::printf("caissonctl %s\n", CAISSON_VERSION);
  Client client(endpoint);
  const absl::StatusOr<cri::VersionResponse> answer = client.Call(
      &RuntimeApi::Version, cri::VersionRequest(), absl::Seconds(2));
  if (!answer.ok()) {
    std::printf("%s: %s\n", endpoint.c_str(),
                std::string(answer.status().message()).c_str());
    return 0;
  }
  std::printf("%s %s, CRI %s\n", answer->runtime_name().c_str(),
              answer->runtime_version().c_str(),
              answer->runtime_api_version().c_str());
  return 0;
}

}  // namespace caisson::ctl
