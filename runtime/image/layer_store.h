#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/image_db.h"
#include "runtime/image/layer_mounts.h"

namespace caisson::image {

// Sealed layers: ROOT/layers/HEX.erofs, each counted by the images and pulls
// that use it and gone with the last of them.  Any thread.
class LayerStore {
 public:
  // Reads the records, and removes files, mounts and records that don't fit
  // together and whatever an interrupted pull left.  `db` is borrowed.
  static absl::StatusOr<std::unique_ptr<LayerStore>> Open(
      const std::string& root, const std::string& mount_dir, ImageDb& db);

  // A use of the layer, whether it is there yet or not.
  void Reference(const std::string& diff_id);
  // The last one's end removes the layer, on the disk, too, before it returns.
  void Dereference(const std::string& diff_id);
  // After Open(): removes the layers that have got no reference.
  void RemoveUnused();

  enum class Claim { kPresent, kFetch, kWait };
  // Asks to fetch a referenced layer.  kFetch: the caller must, and ends with
  // Commit() or Abandon(); kWait: another does, or is just removing it.
  Claim ClaimFetch(const std::string& diff_id);
  // A file for the content of a claimed layer.
  absl::StatusOr<UniqueFd> Stage(const std::string& diff_id);
  // The content is complete and nobody can write to it any more: makes it
  // durable, then known.
  absl::Status Commit(const LayerRecord& layer);
  // The claimed layer isn't coming.
  void Abandon(const std::string& diff_id);
  // Blocks while somebody fetches or removes the layer; whether it is there
  // then.  Cancelled: `cancel` (borrowed) became readable.
  absl::StatusOr<bool> Wait(const std::string& diff_id, int cancel);

  bool IsPresent(const std::string& diff_id) const;
  // Zeroes for a layer that isn't there.
  uint64_t FileBytes(const std::string& diff_id) const;
  uint32_t HighestId(const std::string& diff_id) const;

  // The mount point of a layer that is present and referenced.
  absl::StatusOr<std::string> Mount(const std::string& diff_id);
  absl::Status UnmountAll();

  // Bytes on disk and inodes of all layers.
  std::pair<uint64_t, uint64_t> Usage() const;

 private:
  enum class State { kAbsent, kFetching, kPresent, kRemoving };

  struct Layer {
    State state = State::kAbsent;
    int references = 0;
    uint64_t file_bytes = 0;
    uint64_t disk_bytes = 0;
    uint32_t highest_id = 0;
    // While it is fetched or removed: an eventfd(2) that is readable at the
    // end.
    std::shared_ptr<UniqueFd> settled;
  };

  LayerStore(const std::string& root, const std::string& mount_dir, ImageDb& db)
      : directory_(root + "/layers"), mounts_(mount_dir), db_(db) {}

  absl::Status MakeDirectories();
  absl::Status LoadRecords();
  absl::Status SweepFiles();
  std::string FilePath(const std::string& diff_id) const;
  std::string StagingPath(const std::string& diff_id) const;
  bool BeginRemoval(const std::string& diff_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(const std::string& diff_id) ABSL_LOCKS_EXCLUDED(mutex_);
  void Settle(const std::string& diff_id, State state)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string directory_;
  LayerMounts mounts_;
  ImageDb& db_;
  mutable Mutex mutex_;
  std::map<std::string, Layer> layers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::image
