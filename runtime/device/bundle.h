#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"

// The bundle of a container with hooks: a directory of the host that they are
// told of, with config.json and, while createContainer's run, the root in
// `rootfs` (OCI runtime specification 1.2, "Filesystem Bundle").  Nothing
// here is read by caisson itself.
namespace caisson::device {

inline constexpr char kOciVersion[] = "1.2.0";

// What a bundle tells of beyond the container's plan.
struct BundleFacts {
  std::string hostname;
  std::string cgroup;
  std::map<std::string, std::string> annotations;
  // Of OCI's: "network", "ipc"; those that are not the host's.
  std::vector<std::string> namespaces;
  google::protobuf::RepeatedPtrField<keeper::v1::IdExtent> uids;
  google::protobuf::RepeatedPtrField<keeper::v1::IdExtent> gids;
};

// The text of config.json.
std::string BundleConfig(const keeper::v1::ContainerPlan& plan,
                         const BundleFacts& facts);

// Makes both in `directory`, readable by root only: config.json has the
// environment, with its secrets.
absl::Status WriteBundle(const std::string& directory,
                         const keeper::v1::ContainerPlan& plan,
                         const BundleFacts& facts);

}  // namespace caisson::device
