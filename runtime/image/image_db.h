#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"
#include "runtime/base/sqlite.h"
#include "runtime/identity/user_lookup.h"
#include "runtime/image/layer_convert.h"

namespace caisson::image {

// What is kept of an image; the rest follows from its configuration and its
// layers.
struct ImageRecord {
  std::string id;
  std::vector<std::string> repo_tags;
  std::vector<std::string> repo_digests;
  std::string config;  // the text that `id` is the digest of
  identity::UserDatabase users;
};

struct LayerRecord {
  std::string diff_id;
  uint64_t file_bytes = 0;
  uint32_t highest_id = 0;
  // Filled in by GetLayer(), for they may be large.
  UserFile passwd;
  UserFile group;
};

// The records of images and layers: images.db, each change durable when its
// call returns.  Any thread.
class ImageDb {
 public:
  // Opens or makes the file.  One that isn't a sound database is set aside
  // with a log line, and a new one made; that of a newer caissond is
  // FailedPrecondition.
  static absl::StatusOr<std::unique_ptr<ImageDb>> Open(const std::string& path);
  ImageDb(const ImageDb&) = delete;
  ImageDb& operator=(const ImageDb&) = delete;

  absl::StatusOr<std::vector<ImageRecord>> ListImages();
  // Writes all of them or none.
  absl::Status PutImages(const std::vector<ImageRecord>& images);
  absl::Status DeleteImage(const std::string& id);
  // Moves a record that can't be used out of the way, with the reason.
  absl::Status SetImageAside(const std::string& id, absl::string_view reason);

  // Without their user files.
  absl::StatusOr<std::vector<LayerRecord>> ListLayers();
  absl::StatusOr<LayerRecord> GetLayer(const std::string& diff_id);
  absl::Status PutLayer(const LayerRecord& layer);
  absl::Status DeleteLayer(const std::string& diff_id);

 private:
  explicit ImageDb(std::unique_ptr<sqlite::Database> db) : db_(std::move(db)) {}

  absl::Status PutImage(const ImageRecord& image)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Delete(absl::string_view sql, const std::string& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  const std::unique_ptr<sqlite::Database> db_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace caisson::image
