#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/identity/user_lookup.h"
#include "runtime/image/layer_convert.h"

struct sqlite3;

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
  // with a log line, and a new one made.
  static absl::StatusOr<std::unique_ptr<ImageDb>> Open(const std::string& path);
  ImageDb(const ImageDb&) = delete;
  ImageDb& operator=(const ImageDb&) = delete;
  ~ImageDb();

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
  explicit ImageDb(sqlite3* db) : db_(db) {}

  absl::Status PutImage(const ImageRecord& image);

  sqlite3* const db_;
  std::mutex mutex_;
};

}  // namespace caisson::image
