#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {

using keeper::v1::Mount;

absl::Status Runtime::FindImageVolumes(keeper::v1::ContainerPlan& plan,
                                       state::v1::ContainerRecord& record) {
  for (Mount& mount : *plan.mutable_mounts()) {
    if (mount.kind() != Mount::IMAGE) {
      continue;
    }
    const absl::StatusOr<image::Image> image =
        parts_.images->Find(mount.source());
    RETURN_IF_ERROR(
        Annotate(image.status(), absl::StrCat("find volume ", mount.target())));
    mount.set_source(image->id);
    record.add_volume_images(image->id);
  }
  return absl::OkStatus();
}

absl::Status Runtime::MountImageVolumes(keeper::v1::ContainerPlan& plan) {
  for (Mount& mount : *plan.mutable_mounts()) {
    if (mount.kind() != Mount::IMAGE) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> layers,
                     parts_.images->MountLayers(mount.source()));
    mount.mutable_layers()->Assign(layers.begin(), layers.end());
  }
  return absl::OkStatus();
}

void Runtime::HoldImages(const state::v1::ContainerRecord& record) {
  parts_.images->Hold(record.image_id()).IgnoreError();
  for (const std::string& id : record.volume_images()) {
    parts_.images->Hold(id).IgnoreError();
  }
}

void Runtime::ReleaseImages(const state::v1::ContainerRecord& record) {
  parts_.images->Release(record.image_id());
  for (const std::string& id : record.volume_images()) {
    parts_.images->Release(id);
  }
}

}  // namespace caisson::cri
