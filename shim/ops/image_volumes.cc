#include "shim/ops/image_volumes.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::ops {

using keeper::v1::Mount;

absl::StatusOr<std::vector<image::HeldImage>> HoldImageVolumes(
    image::ImageStore& images, keeper::v1::ContainerPlan& plan) {
  std::vector<image::HeldImage> held;
  for (Mount& mount : *plan.mutable_mounts()) {
    if (mount.kind() != Mount::IMAGE) {
      continue;
    }
    absl::StatusOr<image::HeldImage> image = images.FindAndHold(mount.source());
    RETURN_IF_ERROR(
        Annotate(image.status(), absl::StrCat("find volume ", mount.target())));
    mount.set_source(image->image().id);
    held.push_back(std::move(image).value());
  }
  return held;
}

absl::Status MountImageVolumes(image::ImageStore& images,
                               keeper::v1::ContainerPlan& plan) {
  for (Mount& mount : *plan.mutable_mounts()) {
    if (mount.kind() != Mount::IMAGE) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> layers,
                     images.MountLayers(mount.source()));
    mount.mutable_layers()->Assign(layers.begin(), layers.end());
  }
  return absl::OkStatus();
}

}  // namespace caisson::ops
