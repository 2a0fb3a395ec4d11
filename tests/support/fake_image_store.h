#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "runtime/base/mutex.h"
#include "runtime/image/image_store.h"
#include "tests/support/faults.h"

namespace caisson::testing {

// One image, "busybox", of one layer that is an empty directory.  Counts who
// holds it.
class FakeImageStore : public image::ImageStore {
 public:
  static constexpr char kId[] = "sha256:abc";

  explicit FakeImageStore(std::string layer) : layer_(std::move(layer)) {}

  // "find", "mount".
  Faults faults;

  // Called before layers are mounted: what holds a creation up.
  std::function<void()> on_mount;

  // How many hold it; below 0 when one was released that nobody had.
  int holds() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::StatusOr<std::string> Pull(absl::string_view reference,
                                   const image::Credentials& credentials,
                                   Deadline deadline, int cancel) override;
  absl::StatusOr<image::Image> Find(absl::string_view reference) const override;
  std::vector<image::Image> List() const override;
  absl::Status Remove(absl::string_view reference) override;
  absl::StatusOr<identity::UserDatabase> Users(
      const std::string& image_id) const override;
  absl::StatusOr<std::vector<std::string>> MountLayers(
      const std::string& image_id) override;
  absl::Status UnmountAll() override;
  absl::Status Hold(const std::string& image_id) override;
  void Release(const std::string& image_id) override;
  absl::StatusOr<image::FsUsage> Usage() const override;

 protected:
  absl::StatusOr<image::Image> FindHeld(absl::string_view reference) override;

 private:
  const std::string layer_;
  Mutex mutex_;
  int holds_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace caisson::testing
