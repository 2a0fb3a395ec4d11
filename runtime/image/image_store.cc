#include "runtime/image/image_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/log.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "runtime/image/image_db.h"
#include "runtime/image/layer_store.h"
#include "runtime/image/manifest.h"
#include "runtime/image/pull_operation.h"
#include "runtime/image/pull_queue.h"
#include "runtime/image/sha256.h"

namespace caisson::image {
namespace {

constexpr size_t kMinPrefix = 3;

bool Contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

void Add(std::vector<std::string>& list, const std::string& value) {
  if (!Contains(list, value)) {
    list.push_back(value);
  }
}

// The topmost layer that has the file, or removes it, has the last word.
void Merge(const UserFile& file, std::string& merged) {
  if (file.content.has_value() || file.removed) {
    merged = file.content.value_or("");
  }
}

absl::Status NotFound(absl::string_view reference) {
  return absl::NotFoundError(
      absl::StrCat("find image \"", reference, "\": not found"));
}

class DiskImageStore : public ImageStore {
 public:
  explicit DiskImageStore(Options options)
      : options_(std::move(options)), pulls_(options_.parallel_pulls) {}

  absl::Status Load();

  absl::StatusOr<std::string> Pull(absl::string_view reference,
                                   const Credentials& credentials,
                                   Deadline deadline, int cancel) override;
  absl::StatusOr<Image> Find(absl::string_view reference) const override;
  std::vector<Image> List() const override;
  absl::Status Remove(absl::string_view reference) override;
  absl::StatusOr<identity::UserDatabase> Users(
      const std::string& image_id) const override;
  absl::StatusOr<std::vector<std::string>> MountLayers(
      const std::string& image_id) override;

  absl::Status UnmountAll() override { return layers_->UnmountAll(); }

  absl::Status Hold(const std::string& image_id) override;
  void Release(const std::string& image_id) override;
  absl::StatusOr<FsUsage> Usage() const override;

 protected:
  absl::StatusOr<Image> FindHeld(absl::string_view reference) override;

 private:
  struct Entry {
    Image image;
    identity::UserDatabase users;
    // Removed while containers use it: out of sight, and gone with the last.
    bool removed = false;
  };

  absl::StatusOr<std::string> Fetch(const Reference& reference,
                                    const Credentials& credentials,
                                    PullQueue::Turn& turn);
  absl::StatusOr<std::string> Record(const Reference& reference,
                                     const PulledImage& pulled);
  std::vector<Entry> Changes(const Reference& reference,
                             const PulledImage& pulled, Entry entry) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Entry> MakeEntry(const std::string& id,
                                  const std::string& config) const;
  absl::StatusOr<identity::UserDatabase> MergeUsers(
      const std::vector<std::string>& layers) const;
  absl::Status LoadImage(const ImageRecord& record);
  absl::StatusOr<const Entry*> FindEntry(absl::string_view text) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Entry* FindName(absl::string_view text) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<const Entry*> FindPrefix(absl::string_view text) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(const std::string& image_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_)
      ABSL_LOCKS_EXCLUDED(mutex_);

  static ImageRecord RecordOf(const Entry& entry);

  const Options options_;
  std::unique_ptr<ImageDb> db_;
  std::unique_ptr<LayerStore> layers_;
  // One change at a time, with its records and layers on the disk.  Taken
  // before the other, under which nothing waits for a disk: it is what lists
  // and lookups need.
  Mutex change_;
  mutable Mutex mutex_;
  std::map<std::string, Entry> images_ ABSL_GUARDED_BY(mutex_);  // by id
  std::map<std::string, int> held_ ABSL_GUARDED_BY(mutex_);      // by id
  // Last: its threads use the others.
  PullQueue pulls_;
};

absl::Status DiskImageStore::Load() {
  if (mkdir(options_.root.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("create", options_.root);
  }
  ASSIGN_OR_RETURN(db_, ImageDb::Open(options_.root + "/images.db"));
  ASSIGN_OR_RETURN(layers_,
                   LayerStore::Open(options_.root, options_.mount_dir, *db_));
  ASSIGN_OR_RETURN(const std::vector<ImageRecord> records, db_->ListImages());
  for (const ImageRecord& record : records) {
    const absl::Status loaded = LoadImage(record);
    if (!loaded.ok()) {
      LogError(absl::StrCat("load image ", record.id, ": ", loaded.message(),
                            "; set aside, it has to be pulled again"));
      RETURN_IF_ERROR(db_->SetImageAside(record.id, loaded.message()));
    }
  }
  layers_->RemoveUnused();
  return absl::OkStatus();
}

absl::Status DiskImageStore::LoadImage(const ImageRecord& record) {
  if (Sha256Digest(record.config) != record.id) {
    return absl::DataLossError("its configuration has another digest");
  }
  ASSIGN_OR_RETURN(Entry entry, MakeEntry(record.id, record.config));
  entry.image.repo_tags = record.repo_tags;
  entry.image.repo_digests = record.repo_digests;
  entry.users = record.users;
  for (const std::string& diff_id : entry.image.layers) {
    layers_->Reference(diff_id);
  }
  const MutexLock lock(mutex_);
  images_[record.id] = std::move(entry);
  return absl::OkStatus();
}

// What follows from the configuration and the layers, which must be here.
absl::StatusOr<DiskImageStore::Entry> DiskImageStore::MakeEntry(
    const std::string& id, const std::string& config) const {
  ASSIGN_OR_RETURN(ParsedConfig parsed, ParseConfig(config));
  Entry entry;
  Image& image = entry.image;
  image.id = id;
  image.config = std::move(parsed.config);
  image.layers = std::move(parsed.diff_ids);
  image.size = config.size();
  std::set<std::string> counted;
  for (const std::string& diff_id : image.layers) {
    if (!layers_->IsPresent(diff_id)) {
      return absl::DataLossError(
          absl::StrCat("its layer ", diff_id, " is missing"));
    }
    if (counted.insert(diff_id).second) {
      image.size += layers_->FileBytes(diff_id);
    }
    image.highest_id = std::max(image.highest_id, layers_->HighestId(diff_id));
  }
  return entry;
}

absl::StatusOr<identity::UserDatabase> DiskImageStore::MergeUsers(
    const std::vector<std::string>& layers) const {
  identity::UserDatabase users;
  for (const std::string& diff_id : layers) {
    ASSIGN_OR_RETURN(const LayerRecord layer, db_->GetLayer(diff_id));
    Merge(layer.passwd, users.passwd);
    Merge(layer.group, users.group);
  }
  return users;
}

ImageRecord DiskImageStore::RecordOf(const Entry& entry) {
  const Image& image = entry.image;
  return {image.id, image.repo_tags, image.repo_digests, image.config.json,
          entry.users};
}

absl::StatusOr<std::string> DiskImageStore::Pull(absl::string_view reference,
                                                 const Credentials& credentials,
                                                 Deadline deadline,
                                                 int cancel) {
  ASSIGN_OR_RETURN(const Reference parsed, ParseReference(reference));
  const std::string name = parsed.Name();
  // Others' credentials fetch for others only.
  const std::string key = absl::StrCat(
      name, "\n", credentials.username, "\n", credentials.password, "\n",
      credentials.registry_token, "\n", credentials.identity_token);
  absl::StatusOr<std::string> result = pulls_.Run(
      key,
      [this, parsed, credentials](PullQueue::Turn& turn) {
        return Fetch(parsed, credentials, turn);
      },
      deadline, cancel);
  return result.ok() ? result
                     : Annotate(result.status(), absl::StrCat("pull ", name));
}

absl::StatusOr<std::string> DiskImageStore::Fetch(
    const Reference& reference, const Credentials& credentials,
    PullQueue::Turn& turn) {
  // Its layers stay until the record has taken its own references.
  PullOperation operation(options_, *layers_);
  ASSIGN_OR_RETURN(const PulledImage pulled,
                   operation.Run(reference, credentials, turn.cancel()));
  // Whoever joined later than the record would be told of an image that a
  // removal may have taken away before it asked.
  if (!turn.Close()) {
    return absl::CancelledError("nobody waits for it any more");
  }
  return Record(reference, pulled);
}

// The entries that change when the reference gets to name the image, itself
// last.
std::vector<DiskImageStore::Entry> DiskImageStore::Changes(
    const Reference& reference, const PulledImage& pulled, Entry entry) const {
  std::vector<Entry> changed;
  if (const auto known = images_.find(pulled.id);
      known != images_.end() && !known->second.removed) {
    entry = known->second;
  }
  if (reference.digest.empty()) {
    const std::string tag = reference.Name();
    // It may have been another image's.
    for (const auto& [id, other] : images_) {
      if (id != pulled.id && Contains(other.image.repo_tags, tag)) {
        std::vector<std::string>& tags =
            changed.emplace_back(other).image.repo_tags;
        tags.erase(std::remove(tags.begin(), tags.end(), tag), tags.end());
      }
    }
    Add(entry.image.repo_tags, tag);
  }
  Add(entry.image.repo_digests,
      absl::StrCat(reference.registry, "/", reference.repository, "@",
                   pulled.manifest_digest));
  changed.push_back(std::move(entry));
  return changed;
}

absl::StatusOr<std::string> DiskImageStore::Record(const Reference& reference,
                                                   const PulledImage& pulled) {
  ASSIGN_OR_RETURN(Entry entry, MakeEntry(pulled.id, pulled.config));
  ASSIGN_OR_RETURN(entry.users, MergeUsers(entry.image.layers));
  const MutexLock change(change_);
  std::vector<Entry> changed;
  {
    const MutexLock lock(mutex_);
    changed = Changes(reference, pulled, std::move(entry));
  }
  std::vector<ImageRecord> records;
  for (const Entry& each : changed) {
    records.push_back(RecordOf(each));
  }
  RETURN_IF_ERROR(db_->PutImages(records));
  const MutexLock lock(mutex_);
  // One that is held and was removed has kept its references.
  if (images_.count(pulled.id) == 0) {
    for (const std::string& diff_id : changed.back().image.layers) {
      layers_->Reference(diff_id);
    }
  }
  for (Entry& each : changed) {
    const std::string id = each.image.id;
    images_[id] = std::move(each);
  }
  return pulled.id;
}

const DiskImageStore::Entry* DiskImageStore::FindName(
    absl::string_view text) const {
  const absl::StatusOr<Reference> reference = ParseReference(text);
  if (!reference.ok()) {
    return nullptr;
  }
  const std::string name = reference->Name();
  for (const auto& [id, entry] : images_) {
    if (!entry.removed && (Contains(entry.image.repo_tags, name) ||
                           Contains(entry.image.repo_digests, name))) {
      return &entry;
    }
  }
  return nullptr;
}

// The only image whose id begins so.
absl::StatusOr<const DiskImageStore::Entry*> DiskImageStore::FindPrefix(
    absl::string_view text) const {
  const absl::string_view hex = absl::StripPrefix(text, "sha256:");
  if (hex.size() < kMinPrefix) {
    return NotFound(text);
  }
  const std::string prefix = absl::StrCat("sha256:", hex);
  const Entry* found = nullptr;
  for (auto it = images_.lower_bound(prefix);
       it != images_.end() && absl::StartsWith(it->first, prefix); ++it) {
    if (it->second.removed) {
      continue;
    }
    if (found != nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "find image \"", text, "\": several have an id that begins so"));
    }
    found = &it->second;
  }
  return found != nullptr ? absl::StatusOr<const Entry*>(found)
                          : NotFound(text);
}

absl::StatusOr<const DiskImageStore::Entry*> DiskImageStore::FindEntry(
    absl::string_view text) const {
  // A whole id goes before a name that looks like one, a prefix after it.
  if (IsSha256Digest(
          absl::StrCat("sha256:", absl::StripPrefix(text, "sha256:")))) {
    if (absl::StatusOr<const Entry*> found = FindPrefix(text); found.ok()) {
      return found;
    }
  }
  if (const Entry* const found = FindName(text); found != nullptr) {
    return found;
  }
  return FindPrefix(text);
}

absl::StatusOr<Image> DiskImageStore::Find(absl::string_view reference) const {
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const Entry* const found, FindEntry(reference));
  return found->image;
}

absl::StatusOr<Image> DiskImageStore::FindHeld(absl::string_view reference) {
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const Entry* const found, FindEntry(reference));
  ++held_[found->image.id];
  return found->image;
}

std::vector<Image> DiskImageStore::List() const {
  const MutexLock lock(mutex_);
  std::vector<Image> list;
  for (const auto& [id, entry] : images_) {
    if (!entry.removed) {
      list.push_back(entry.image);
    }
  }
  return list;
}

absl::Status DiskImageStore::Remove(absl::string_view reference) {
  const MutexLock change(change_);
  std::string id;
  {
    const MutexLock lock(mutex_);
    const absl::StatusOr<const Entry*> found = FindEntry(reference);
    if (absl::IsNotFound(found.status())) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(found.status());
    id = (*found)->image.id;
  }
  RETURN_IF_ERROR(db_->DeleteImage(id));
  {
    const MutexLock lock(mutex_);
    Entry& entry = images_[id];
    entry.removed = true;
    entry.image.repo_tags.clear();
    entry.image.repo_digests.clear();
  }
  Drop(id);
  return absl::OkStatus();
}

// What is removed and not held goes, with its layers.
void DiskImageStore::Drop(const std::string& image_id) {
  std::vector<std::string> layers;
  {
    const MutexLock lock(mutex_);
    const auto found = images_.find(image_id);
    if (found == images_.end() || !found->second.removed ||
        held_.count(image_id) != 0) {
      return;
    }
    layers = std::move(found->second.image.layers);
    images_.erase(found);
  }
  for (const std::string& diff_id : layers) {
    layers_->Dereference(diff_id);
  }
}

absl::StatusOr<identity::UserDatabase> DiskImageStore::Users(
    const std::string& image_id) const {
  const MutexLock lock(mutex_);
  const auto found = images_.find(image_id);
  if (found == images_.end()) {
    return NotFound(image_id);
  }
  return found->second.users;
}

absl::StatusOr<std::vector<std::string>> DiskImageStore::MountLayers(
    const std::string& image_id) {
  // Nobody takes them away meanwhile.
  RETURN_IF_ERROR(Hold(image_id));
  const absl::Cleanup release = [&] { Release(image_id); };
  std::vector<std::string> layers;
  {
    const MutexLock lock(mutex_);
    layers = images_[image_id].image.layers;
  }
  std::vector<std::string> points;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) {
    ASSIGN_OR_RETURN(const std::string point, layers_->Mount(*it));
    // A layer that occurs again lower down shows nothing there, and overlayfs
    // takes no directory twice.
    Add(points, point);
  }
  return points;
}

absl::Status DiskImageStore::Hold(const std::string& image_id) {
  const MutexLock lock(mutex_);
  if (images_.count(image_id) == 0) {
    return NotFound(image_id);
  }
  ++held_[image_id];
  return absl::OkStatus();
}

void DiskImageStore::Release(const std::string& image_id) {
  {
    const MutexLock lock(mutex_);
    const auto holds = held_.find(image_id);
    if (holds == held_.end() || --holds->second > 0) {
      return;
    }
    held_.erase(holds);
    const auto found = images_.find(image_id);
    if (found == images_.end() || !found->second.removed) {
      return;
    }
  }
  const MutexLock change(change_);
  Drop(image_id);
}

absl::StatusOr<FsUsage> DiskImageStore::Usage() const {
  FsUsage usage;
  usage.mount_point = options_.root;
  std::tie(usage.used_bytes, usage.inodes_used) = layers_->Usage();
  return usage;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImageStore>> ImageStore::Open(Options options) {
  auto store = std::make_unique<DiskImageStore>(std::move(options));
  RETURN_IF_ERROR(Annotate(store->Load(), "open image store"));
  return store;
}

}  // namespace caisson::image
