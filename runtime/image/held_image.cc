#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/image_store.h"

namespace caisson::image {

HeldImage& HeldImage::operator=(HeldImage&& other) noexcept {
  if (this != &other) {
    if (store_ != nullptr) {
      store_->Release(image_.id);
    }
    store_ = std::exchange(other.store_, nullptr);
    image_ = std::move(other.image_);
  }
  return *this;
}

HeldImage::~HeldImage() {
  if (store_ != nullptr) {
    store_->Release(image_.id);
  }
}

std::string HeldImage::Keep() && {
  store_ = nullptr;
  return image_.id;
}

absl::StatusOr<HeldImage> ImageStore::FindAndHold(absl::string_view reference) {
  ASSIGN_OR_RETURN(Image image, FindHeld(reference));
  return HeldImage(*this, std::move(image));
}

}  // namespace caisson::image
