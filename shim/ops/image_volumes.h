#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/image/image_store.h"

namespace caisson::ops {

// Volumes of the plan that are images: ids take the place of their names.
// NotFound names the volume.  The images are held as long as what is returned.
absl::StatusOr<std::vector<image::HeldImage>> HoldImageVolumes(
    image::ImageStore& images, keeper::v1::ContainerPlan& plan);

// Mounts their layers on the host and tells the plan where.
absl::Status MountImageVolumes(image::ImageStore& images,
                               keeper::v1::ContainerPlan& plan);

}  // namespace caisson::ops
