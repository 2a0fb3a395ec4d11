#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/image/image_store.h"

struct sqlite3;

namespace caisson::image {

// What is known of a sealed layer.
struct LayerRecord {
  std::string diff_id;
  uint64_t file_bytes = 0;
  uint32_t highest_id = 0;
  bool has_passwd = false;
  std::string passwd;
  bool removes_passwd = false;
  bool has_group = false;
  std::string group;
  bool removes_group = false;
};

// images.db: SQLite, WAL, synchronous=FULL: what a pull reported is there
// after a power cut.  Not thread-safe: the store's mutex guards it.
class ImageDatabase {
 public:
  static absl::StatusOr<std::unique_ptr<ImageDatabase>> Open(
      const std::string& path);
  ImageDatabase(const ImageDatabase&) = delete;
  ImageDatabase& operator=(const ImageDatabase&) = delete;
  ~ImageDatabase();

  // Configurations are kept as they came and read again, so a damaged record
  // is one whose JSON is; such images are left out and logged.
  absl::StatusOr<std::vector<Image>> Images();
  absl::StatusOr<std::vector<LayerRecord>> Layers();

  absl::Status PutImage(const Image& image);
  absl::Status RemoveImage(const std::string& id);
  absl::Status PutLayer(const LayerRecord& layer);
  absl::Status RemoveLayer(const std::string& diff_id);

 private:
  explicit ImageDatabase(sqlite3* database) : database_(database) {}

  absl::Status Execute(const char* sql);

  sqlite3* database_;
};

}  // namespace caisson::image
