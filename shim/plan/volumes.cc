#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"
#include "shim/plan/container.h"
#include "shim/plan/path_set.h"

namespace caisson::plan {
namespace {

using keeper::v1::Mount;

// Whether `path` is `parent` or lies below it.
bool IsWithin(const std::string& path, const std::string& parent) {
  return path == parent || absl::StartsWith(path, absl::StrCat(parent, "/"));
}

// The image's word for a path: nobody checked it before.
absl::StatusOr<std::string> CheckVolume(const std::string& path,
                                        const std::string& image) {
  const std::string field = absl::StrCat("volume of image ", image);
  RETURN_IF_ERROR(CheckPlainPath(field, path));
  const std::string clean = CleanPath(path);
  if (clean == "/") {
    return Refuse(field, path, "is the root");
  }
  for (const char* kernel : {"/proc", "/sys", "/dev"}) {
    if (IsWithin(clean, kernel)) {
      return Refuse(field, path, absl::StrCat("lies in ", kernel));
    }
  }
  return clean;
}

}  // namespace

// A root that can be written needs them as directories only, and then paths
// that can't be one are left alone: images of the wild declare odd ones.
absl::Status AddVolumes(const ContainerInputs& inputs,
                        keeper::v1::ContainerPlan& plan) {
  if (inputs.daemon.image.volumes == "ignore") {
    return absl::OkStatus();
  }
  const bool sealed = plan.read_only_root();
  PathSet covered;
  for (const Mount& mount : plan.mounts()) {
    covered.Insert(mount.target());
  }
  for (const std::string& path : inputs.image.volumes) {
    absl::StatusOr<std::string> target =
        CheckVolume(path, inputs.config.image().image());
    if (sealed) {
      RETURN_IF_ERROR(target.status());
    }
    if (!target.ok() || covered.Covers(*target)) {
      continue;
    }
    if (sealed) {
      covered.Insert(*target);
    }
    Mount& mount = *plan.add_mounts();
    mount.set_kind(sealed ? Mount::ROOT_PART : Mount::ROOT_DIRECTORY);
    mount.set_target(*std::move(target));
    mount.set_nosuid(true);
    mount.set_nodev(true);
  }
  return absl::OkStatus();
}

}  // namespace caisson::plan
