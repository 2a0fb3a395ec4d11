#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/ops/devices.h"
#include "shim/plan/container.h"

namespace caisson::ops {
namespace {

absl::Status RefuseNode(const device::DeviceNode& node, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "use CDI device node ", node.path, ": ", node.host_path, " ", why));
}

// The container gets the host's node: what the spec says of it must be so.
absl::Status CheckNode(const device::DeviceNode& node) {
  struct stat facts = {};
  // The host's path, named by a spec of root's.
  if (stat(node.host_path.c_str(), &facts) != 0) {
    return RefuseNode(node, strerror(errno));
  }
  const char type = S_ISCHR(facts.st_mode)   ? 'c'
                    : S_ISBLK(facts.st_mode) ? 'b'
                                             : 0;
  if (type == 0) {
    return RefuseNode(node, "is no device");
  }
  if ((node.type != 0 && node.type != type) ||
      (node.major.has_value() && *node.major != major(facts.st_rdev)) ||
      (node.minor.has_value() && *node.minor != minor(facts.st_rdev))) {
    return RefuseNode(
        node, absl::StrCat("is device ", std::string(1, type), " ",
                           major(facts.st_rdev), ":", minor(facts.st_rdev),
                           ", which is not what the spec says"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<device::Edits> FindCdiDevices(
    device::Registry& registry, const runtime::v1::ContainerConfig& config) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   plan::CdiNames(config));
  if (names.empty()) {
    return device::Edits();
  }
  ASSIGN_OR_RETURN(device::Edits edits, registry.Resolve(names));
  for (const device::DeviceNode& node : edits.nodes) {
    RETURN_IF_ERROR(CheckNode(node));
  }
  return edits;
}

}  // namespace caisson::ops
