#include "runtime/image/image_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/image/image_db.h"
#include "runtime/image/layer_store.h"
#include "runtime/image/manifest.h"
#include "runtime/image/pull_operation.h"
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

class DiskImageStore : public ImageStore {
 public:
  explicit DiskImageStore(Options options) : options_(std::move(options)) {}

  absl::Status Load();

  absl::StatusOr<std::string> Pull(absl::string_view reference,
                                   const Credentials& credentials) override;
  absl::StatusOr<Image> Find(absl::string_view reference) const override;
  std::vector<Image> List() const override;
  absl::Status Remove(absl::string_view reference) override;
  absl::StatusOr<identity::UserDatabase> Users(
      const std::string& image_id) const override;
  absl::StatusOr<std::vector<std::string>> MountLayers(
      const std::string& image_id) override;

  absl::Status UnmountAll() override { return layers_->UnmountAll(); }

  void Hold(const std::string& image_id) override;
  void Release(const std::string& image_id) override;
  absl::StatusOr<FsUsage> Usage() const override;

 private:
  struct Entry {
    Image image;
    identity::UserDatabase users;
    // Removed while containers use it: out of sight, and gone with the last.
    bool removed = false;
  };

  // One pull, which all that want the same wait for.
  struct Joint {
    bool done = false;
    absl::StatusOr<std::string> result = std::string();
  };

  absl::StatusOr<std::string> Fetch(const Reference& reference,
                                    const Credentials& credentials);
  absl::StatusOr<std::string> Record(const Reference& reference,
                                     const PulledImage& pulled);
  absl::StatusOr<Entry> MakeEntry(const std::string& id,
                                  const std::string& config) const;
  absl::StatusOr<identity::UserDatabase> MergeUsers(
      const std::vector<std::string>& layers) const;
  absl::Status LoadImage(const ImageRecord& record);
  const Entry* FindName(absl::string_view text) const;
  const Entry* FindPrefix(absl::string_view text) const;
  absl::StatusOr<Entry> Lookup(const std::string& image_id) const;
  void Free(const std::string& image_id);

  static ImageRecord RecordOf(const Entry& entry);

  const Options options_;
  std::unique_ptr<ImageDb> db_;
  std::unique_ptr<LayerStore> layers_;
  mutable std::mutex mutex_;
  std::condition_variable pulled_;
  std::map<std::string, Entry> images_;  // by id
  std::map<std::string, int> held_;      // by id
  std::map<std::string, std::shared_ptr<Joint>> pulls_;
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

absl::StatusOr<std::string> DiskImageStore::Pull(
    absl::string_view reference, const Credentials& credentials) {
  ASSIGN_OR_RETURN(const Reference parsed, ParseReference(reference));
  const std::string name = parsed.Name();
  // Others' credentials fetch for others only.
  const std::string key = absl::StrCat(
      name, "\n", credentials.username, "\n", credentials.password, "\n",
      credentials.registry_token, "\n", credentials.identity_token);
  std::shared_ptr<Joint> joint = std::make_shared<Joint>();
  {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto [slot, first] = pulls_.emplace(key, joint);
    if (!first) {
      joint = slot->second;
      pulled_.wait(lock, [&] { return joint->done; });
      return joint->result;
    }
  }
  absl::StatusOr<std::string> result = Fetch(parsed, credentials);
  if (!result.ok()) {
    result = Annotate(result.status(), absl::StrCat("pull ", name));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  joint->result = result;
  joint->done = true;
  pulls_.erase(key);
  pulled_.notify_all();
  return result;
}

absl::StatusOr<std::string> DiskImageStore::Fetch(
    const Reference& reference, const Credentials& credentials) {
  // Its layers stay until the record has taken its own references.
  PullOperation operation(options_, *layers_);
  ASSIGN_OR_RETURN(const PulledImage pulled,
                   operation.Run(reference, credentials));
  return Record(reference, pulled);
}

absl::StatusOr<std::string> DiskImageStore::Record(const Reference& reference,
                                                   const PulledImage& pulled) {
  ASSIGN_OR_RETURN(Entry entry, MakeEntry(pulled.id, pulled.config));
  ASSIGN_OR_RETURN(entry.users, MergeUsers(entry.image.layers));
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = images_.find(pulled.id);
  if (known != images_.end() && !known->second.removed) {
    entry = known->second;
  }
  std::vector<ImageRecord> changed;
  if (reference.digest.empty()) {
    const std::string tag = reference.Name();
    // It may have been another image's.
    for (auto& [id, other] : images_) {
      std::vector<std::string>& tags = other.image.repo_tags;
      if (id != pulled.id && Contains(tags, tag)) {
        tags.erase(std::remove(tags.begin(), tags.end(), tag), tags.end());
        changed.push_back(RecordOf(other));
      }
    }
    Add(entry.image.repo_tags, tag);
  }
  Add(entry.image.repo_digests,
      absl::StrCat(reference.registry, "/", reference.repository, "@",
                   pulled.manifest_digest));
  changed.push_back(RecordOf(entry));
  RETURN_IF_ERROR(db_->PutImages(changed));
  if (known == images_.end()) {
    for (const std::string& diff_id : entry.image.layers) {
      layers_->Reference(diff_id);
    }
  }
  images_[pulled.id] = std::move(entry);
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
const DiskImageStore::Entry* DiskImageStore::FindPrefix(
    absl::string_view text) const {
  const absl::string_view hex = absl::StripPrefix(text, "sha256:");
  if (hex.size() < kMinPrefix) {
    return nullptr;
  }
  const std::string prefix = absl::StrCat("sha256:", hex);
  const Entry* found = nullptr;
  for (auto it = images_.lower_bound(prefix);
       it != images_.end() && absl::StartsWith(it->first, prefix); ++it) {
    if (it->second.removed) {
      continue;
    }
    if (found != nullptr) {
      return nullptr;
    }
    found = &it->second;
  }
  return found;
}

absl::StatusOr<Image> DiskImageStore::Find(absl::string_view reference) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  // A whole id goes before a name that looks like one, a prefix after it.
  const Entry* found = nullptr;
  if (IsSha256Digest(
          absl::StrCat("sha256:", absl::StripPrefix(reference, "sha256:")))) {
    found = FindPrefix(reference);
  }
  if (found == nullptr) {
    found = FindName(reference);
  }
  if (found == nullptr) {
    found = FindPrefix(reference);
  }
  if (found == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("find image \"", reference, "\": not found"));
  }
  return found->image;
}

std::vector<Image> DiskImageStore::List() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Image> list;
  for (const auto& [id, entry] : images_) {
    if (!entry.removed) {
      list.push_back(entry.image);
    }
  }
  return list;
}

absl::Status DiskImageStore::Remove(absl::string_view reference) {
  const absl::StatusOr<Image> image = Find(reference);
  if (!image.ok()) {
    return absl::OkStatus();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = images_.find(image->id);
  if (found == images_.end() || found->second.removed) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(db_->DeleteImage(image->id));
  if (held_.count(image->id) == 0) {
    Free(image->id);
    return absl::OkStatus();
  }
  found->second.removed = true;
  found->second.image.repo_tags.clear();
  found->second.image.repo_digests.clear();
  return absl::OkStatus();
}

// With the lock held.
void DiskImageStore::Free(const std::string& image_id) {
  const auto found = images_.find(image_id);
  for (const std::string& diff_id : found->second.image.layers) {
    layers_->Dereference(diff_id);
  }
  images_.erase(found);
}

absl::StatusOr<DiskImageStore::Entry> DiskImageStore::Lookup(
    const std::string& image_id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = images_.find(image_id);
  if (found == images_.end()) {
    return absl::NotFoundError(
        absl::StrCat("find image ", image_id, ": not found"));
  }
  return found->second;
}

absl::StatusOr<identity::UserDatabase> DiskImageStore::Users(
    const std::string& image_id) const {
  ASSIGN_OR_RETURN(Entry entry, Lookup(image_id));
  return std::move(entry.users);
}

absl::StatusOr<std::vector<std::string>> DiskImageStore::MountLayers(
    const std::string& image_id) {
  ASSIGN_OR_RETURN(const Entry entry, Lookup(image_id));
  const std::vector<std::string>& layers = entry.image.layers;
  std::vector<std::string> points;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) {
    ASSIGN_OR_RETURN(const std::string point, layers_->Mount(*it));
    // A layer that occurs again lower down shows nothing there, and overlayfs
    // takes no directory twice.
    Add(points, point);
  }
  return points;
}

void DiskImageStore::Hold(const std::string& image_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++held_[image_id];
}

void DiskImageStore::Release(const std::string& image_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto holds = held_.find(image_id);
  if (holds == held_.end() || --holds->second > 0) {
    return;
  }
  held_.erase(holds);
  const auto found = images_.find(image_id);
  if (found != images_.end() && found->second.removed) {
    Free(image_id);
  }
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
