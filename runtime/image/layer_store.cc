#include "runtime/image/layer_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iterator>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/directory.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"

namespace caisson::image {
namespace {

constexpr char kSuffix[] = ".erofs";
constexpr char kStaging[] = "/staging";
constexpr uint64_t kStatBlock = 512;
constexpr int kRetryMilliseconds = 50;

// The part of a digest that is a file's name.
std::string NameOf(absl::string_view diff_id) {
  return std::string(absl::StripPrefix(diff_id, "sha256:"));
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("create", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries,
                   ListDirectory(path));
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : entries) {
    if (entry.type != DT_DIR) {
      names.push_back(entry.name);
    }
  }
  return names;
}

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove", path);
  }
  return absl::OkStatus();
}

// Writes a file's content, or a directory's entries, to the disk.
absl::Status Sync(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.ok() || fsync(fd.get()) != 0) {
    return ErrnoError("sync", path);
  }
  return absl::OkStatus();
}

UniqueFd MakeEvent() {
  return UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void LogFailure(const absl::Status& status) {
  if (!status.ok()) {
    LogWarning(absl::StrCat("image layers: ", status.message()));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<LayerStore>> LayerStore::Open(
    const std::string& root, const std::string& mount_dir, ImageDb& db) {
  std::unique_ptr<LayerStore> store(new LayerStore(root, mount_dir, db));
  RETURN_IF_ERROR(store->MakeDirectories());
  RETURN_IF_ERROR(store->LoadRecords());
  RETURN_IF_ERROR(store->SweepFiles());
  return store;
}

absl::Status LayerStore::MakeDirectories() {
  RETURN_IF_ERROR(MakeDirectory(directory_));
  return MakeDirectory(directory_ + kStaging);
}

absl::Status LayerStore::LoadRecords() {
  ASSIGN_OR_RETURN(const std::vector<LayerRecord> records, db_.ListLayers());
  for (const LayerRecord& record : records) {
    struct stat file = {};
    // Commit() wrote the file before the record, so a different size means
    // that somebody else has been at it.
    if (stat(FilePath(record.diff_id).c_str(), &file) != 0 ||
        static_cast<uint64_t>(file.st_size) != record.file_bytes) {
      LogError(absl::StrCat("image layers: ", record.diff_id,
                            ": its file is missing or cut; dropped"));
      RETURN_IF_ERROR(db_.DeleteLayer(record.diff_id));
      continue;
    }
    const MutexLock lock(mutex_);
    Layer& layer = layers_[record.diff_id];
    layer.state = State::kPresent;
    layer.file_bytes = record.file_bytes;
    layer.disk_bytes = static_cast<uint64_t>(file.st_blocks) * kStatBlock;
    layer.highest_id = record.highest_id;
  }
  return absl::OkStatus();
}

absl::Status LayerStore::SweepFiles() {
  std::set<std::string> names;
  {
    const MutexLock lock(mutex_);
    for (const auto& [diff_id, layer] : layers_) {
      names.insert(NameOf(diff_id));
    }
  }
  LogFailure(mounts_.UnmountOthers(names));
  ASSIGN_OR_RETURN(const std::vector<std::string> files, ListFiles(directory_));
  for (const std::string& file : files) {
    if (names.count(std::string(absl::StripSuffix(file, kSuffix))) == 0) {
      LogFailure(RemoveFile(absl::StrCat(directory_, "/", file)));
    }
  }
  const std::string staging = directory_ + kStaging;
  ASSIGN_OR_RETURN(const std::vector<std::string> staged, ListFiles(staging));
  for (const std::string& file : staged) {
    LogFailure(RemoveFile(absl::StrCat(staging, "/", file)));
  }
  return absl::OkStatus();
}

std::string LayerStore::FilePath(const std::string& diff_id) const {
  return absl::StrCat(directory_, "/", NameOf(diff_id), kSuffix);
}

std::string LayerStore::StagingPath(const std::string& diff_id) const {
  return absl::StrCat(directory_, kStaging, "/", NameOf(diff_id));
}

void LayerStore::Reference(const std::string& diff_id) {
  const MutexLock lock(mutex_);
  ++layers_[diff_id].references;
}

void LayerStore::Dereference(const std::string& diff_id) {
  {
    const MutexLock lock(mutex_);
    const auto found = layers_.find(diff_id);
    if (found == layers_.end() || --found->second.references > 0 ||
        !BeginRemoval(diff_id)) {
      return;
    }
  }
  Remove(diff_id);
}

void LayerStore::RemoveUnused() {
  std::vector<std::string> unused;
  {
    const MutexLock lock(mutex_);
    for (const auto& [diff_id, layer] : layers_) {
      if (layer.references == 0) {
        unused.push_back(diff_id);
      }
    }
    for (const std::string& diff_id : unused) {
      BeginRemoval(diff_id);
    }
  }
  for (const std::string& diff_id : unused) {
    Remove(diff_id);
  }
}

// Of a layer without references: false when there is nothing to remove.  From
// here on nobody mounts or claims it.
bool LayerStore::BeginRemoval(const std::string& diff_id) {
  Layer& layer = layers_[diff_id];
  if (layer.state == State::kRemoving) {
    return false;
  }
  if (layer.state != State::kPresent) {
    layers_.erase(diff_id);
    return false;
  }
  layer.state = State::kRemoving;
  layer.settled = std::make_shared<UniqueFd>(MakeEvent());
  return true;
}

// Without the lock: the disk takes its time, and nobody else is to wait for
// it.  The record goes first: a file without one is swept at the next start.
void LayerStore::Remove(const std::string& diff_id) {
  LogFailure(db_.DeleteLayer(diff_id));
  LogFailure(mounts_.Unmount(NameOf(diff_id)));
  LogFailure(RemoveFile(FilePath(diff_id)));
  const MutexLock lock(mutex_);
  Settle(diff_id, State::kAbsent);
  // Unless somebody has asked for it meanwhile.
  if (layers_[diff_id].references == 0) {
    layers_.erase(diff_id);
  }
}

LayerStore::Claim LayerStore::ClaimFetch(const std::string& diff_id) {
  const MutexLock lock(mutex_);
  Layer& layer = layers_[diff_id];
  switch (layer.state) {
    case State::kPresent:
      return Claim::kPresent;
    case State::kFetching:
    case State::kRemoving:
      return Claim::kWait;
    case State::kAbsent:
      break;
  }
  layer.settled = std::make_shared<UniqueFd>(MakeEvent());
  layer.state = State::kFetching;
  return Claim::kFetch;
}

absl::StatusOr<UniqueFd> LayerStore::Stage(const std::string& diff_id) {
  const std::string path = StagingPath(diff_id);
  RETURN_IF_ERROR(RemoveFile(path));
  UniqueFd file(
      open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.ok()) {
    return ErrnoError("create", path);
  }
  return file;
}

absl::Status LayerStore::Commit(const LayerRecord& layer) {
  const std::string staged = StagingPath(layer.diff_id);
  struct stat file = {};
  if (stat(staged.c_str(), &file) != 0) {
    return ErrnoError("examine", staged);
  }
  if (static_cast<uint64_t>(file.st_size) != layer.file_bytes) {
    return absl::DataLossError(absl::StrCat("commit layer ", layer.diff_id,
                                            ": ", file.st_size, " bytes, not ",
                                            layer.file_bytes));
  }
  // A power cut may lose the layer, and never damages one.
  RETURN_IF_ERROR(Sync(staged));
  if (rename(staged.c_str(), FilePath(layer.diff_id).c_str()) != 0) {
    return ErrnoError("rename", staged);
  }
  RETURN_IF_ERROR(Sync(directory_));
  RETURN_IF_ERROR(db_.PutLayer(layer));
  {
    const MutexLock lock(mutex_);
    Layer& entry = layers_[layer.diff_id];
    entry.file_bytes = layer.file_bytes;
    entry.disk_bytes = static_cast<uint64_t>(file.st_blocks) * kStatBlock;
    entry.highest_id = layer.highest_id;
    Settle(layer.diff_id, State::kPresent);
  }
  return absl::OkStatus();
}

void LayerStore::Abandon(const std::string& diff_id) {
  LogFailure(RemoveFile(StagingPath(diff_id)));
  // Commit() may have failed after its rename.
  LogFailure(RemoveFile(FilePath(diff_id)));
  const MutexLock lock(mutex_);
  Settle(diff_id, State::kAbsent);
}

void LayerStore::Settle(const std::string& diff_id, State state) {
  Layer& layer = layers_[diff_id];
  layer.state = state;
  if (layer.settled != nullptr) {
    eventfd_write(layer.settled->get(), 1);
    layer.settled.reset();
  }
}

absl::StatusOr<bool> LayerStore::Wait(const std::string& diff_id, int cancel) {
  for (;;) {
    std::shared_ptr<UniqueFd> settled;
    {
      const MutexLock lock(mutex_);
      const Layer& layer = layers_[diff_id];
      if (layer.settled == nullptr) {
        return layer.state == State::kPresent;
      }
      settled = layer.settled;
    }
    // An eventfd that couldn't be made is looked at now and then.
    pollfd fds[] = {{settled->get(), POLLIN, 0}, {cancel, POLLIN, 0}};
    if (poll(fds, std::size(fds), settled->ok() ? -1 : kRetryMilliseconds) <
            0 &&
        errno != EINTR) {
      return ErrnoError("wait for", "layer");
    }
    if (fds[1].revents != 0) {
      return absl::CancelledError("nobody waits for it any more");
    }
  }
}

bool LayerStore::IsPresent(const std::string& diff_id) const {
  const MutexLock lock(mutex_);
  const auto found = layers_.find(diff_id);
  return found != layers_.end() && found->second.state == State::kPresent;
}

uint64_t LayerStore::FileBytes(const std::string& diff_id) const {
  const MutexLock lock(mutex_);
  const auto found = layers_.find(diff_id);
  return found == layers_.end() ? 0 : found->second.file_bytes;
}

uint32_t LayerStore::HighestId(const std::string& diff_id) const {
  const MutexLock lock(mutex_);
  const auto found = layers_.find(diff_id);
  return found == layers_.end() ? 0 : found->second.highest_id;
}

absl::StatusOr<std::string> LayerStore::Mount(const std::string& diff_id) {
  if (!IsPresent(diff_id)) {
    return absl::InternalError(
        absl::StrCat("mount layer ", diff_id, ": it isn't here"));
  }
  return mounts_.Mount(NameOf(diff_id), FilePath(diff_id));
}

absl::Status LayerStore::UnmountAll() {
  return mounts_.UnmountOthers({});
}

std::pair<uint64_t, uint64_t> LayerStore::Usage() const {
  const MutexLock lock(mutex_);
  uint64_t bytes = 0;
  uint64_t inodes = 2;  // the directories
  for (const auto& [diff_id, layer] : layers_) {
    if (layer.state == State::kPresent) {
      bytes += layer.disk_bytes;
      ++inodes;
    }
  }
  return {bytes, inodes};
}

}  // namespace caisson::image
