#include "tests/support/fake_image_store.h"

#include "absl/strings/str_cat.h"

namespace caisson::testing {

int FakeImageStore::holds() {
  MutexLock lock(mutex_);
  return holds_;
}

absl::StatusOr<std::string> FakeImageStore::Pull(
    absl::string_view /*reference*/, const image::Credentials& /*credentials*/,
    Deadline /*deadline*/, int /*cancel*/) {
  return absl::UnimplementedError("pull: a fake has no registry");
}

absl::StatusOr<image::Image> FakeImageStore::Find(
    absl::string_view reference) const {
  if (reference != "busybox" && reference != kId) {
    return absl::NotFoundError(absl::StrCat("find image ", reference));
  }
  image::Image image;
  image.id = kId;
  image.repo_tags = {"busybox"};
  image.config.command = {"/bin/sh"};
  image.layers = {"sha256:layer"};
  return image;
}

std::vector<image::Image> FakeImageStore::List() const {
  return {*Find(kId)};
}

absl::Status FakeImageStore::Remove(absl::string_view /*reference*/) {
  return absl::OkStatus();
}

absl::StatusOr<identity::UserDatabase> FakeImageStore::Users(
    const std::string& /*image_id*/) const {
  return identity::UserDatabase{"root:x:0:0:root:/root:/bin/sh\n",
                                "root:x:0:\n"};
}

absl::StatusOr<std::vector<std::string>> FakeImageStore::MountLayers(
    const std::string& /*image_id*/) {
  if (on_mount != nullptr) {
    on_mount();
  }
  if (faults.Next("mount") != Fault::kNone) {
    return absl::InternalError("mount layer: refused");
  }
  return std::vector<std::string>{layer_};
}

absl::Status FakeImageStore::UnmountAll() {
  return absl::OkStatus();
}

absl::Status FakeImageStore::Hold(const std::string& image_id) {
  const absl::StatusOr<image::Image> image = Find(image_id);
  if (image.ok()) {
    MutexLock lock(mutex_);
    ++holds_;
  }
  return image.status();
}

void FakeImageStore::Release(const std::string& /*image_id*/) {
  MutexLock lock(mutex_);
  --holds_;
}

absl::StatusOr<image::FsUsage> FakeImageStore::Usage() const {
  return image::FsUsage();
}

absl::StatusOr<image::Image> FakeImageStore::FindHeld(
    absl::string_view reference) {
  if (faults.Next("find") != Fault::kNone) {
    return absl::NotFoundError(absl::StrCat("find image ", reference));
  }
  absl::StatusOr<image::Image> image = Find(reference);
  if (image.ok()) {
    MutexLock lock(mutex_);
    ++holds_;
  }
  return image;
}

}  // namespace caisson::testing
