#include "runtime/image/image_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/image/hosts.h"
#include "runtime/image/image_database.h"
#include "runtime/image/layer_mount.h"
#include "runtime/image/manifest.h"
#include "runtime/image/puller_process.h"
#include "runtime/image/sha256.h"

namespace caisson::image {
namespace {

constexpr size_t kMinPrefix = 3;

std::string HexOf(const std::string& digest) {
  return std::string(absl::StripPrefix(digest, "sha256:"));
}

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", path);
  }
  return absl::OkStatus();
}

void RemoveValue(std::vector<std::string>& list, const std::string& value) {
  list.erase(std::remove(list.begin(), list.end(), value), list.end());
}

void AddValue(std::vector<std::string>& list, const std::string& value) {
  RemoveValue(list, value);
  list.push_back(value);
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
  absl::Status UnmountAll() override;
  void Hold(const std::string& image_id) override;
  void Release(const std::string& image_id) override;
  absl::StatusOr<FsUsage> Usage() const override;

 private:
  // One pull, which all that want the same wait for.
  struct Operation {
    bool done = false;
    absl::StatusOr<std::string> result = std::string();
  };

  // What a pull's conversation leaves.
  struct Staging {
    Image image;
    std::string digest;
    std::map<std::string, UniqueFd> files;
  };

  std::string LayerPath(const std::string& diff_id) const {
    return absl::StrCat(options_.root, "/layers/", HexOf(diff_id), ".erofs");
  }
  std::string StagingPath(const std::string& diff_id) const {
    return absl::StrCat(options_.root, "/layers/staging/", HexOf(diff_id));
  }
  std::string MountPoint(const std::string& diff_id) const {
    return absl::StrCat(options_.mount_dir, "/", HexOf(diff_id));
  }

  absl::StatusOr<std::string> Fetch(const Reference& reference,
                                    const Credentials& credentials);
  absl::StatusOr<puller::v1::PullRequest> MakeRequest(
      const Reference& reference, const Credentials& credentials);
  absl::StatusOr<int> OpenStaging(const std::string& diff_id,
                                  Staging& staging);
  absl::Status CommitLayer(const puller::v1::LayerDone& done,
                           Staging& staging);
  absl::StatusOr<std::string> CommitImage(const Reference& reference,
                                          Staging& staging);
  absl::StatusOr<std::string> FindId(absl::string_view reference) const;
  Image Complete(const Image& image) const;
  void FreeLayers(const std::vector<std::string>& layers);
  absl::Status SweepFiles();

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable pulled_;
  // Pulls fetch one after the other what they share, so one at a time; the
  // layers of one are parallel.
  std::mutex fetching_;
  std::mutex mounting_;
  std::unique_ptr<ImageDatabase> database_;
  std::map<std::string, Image> images_;        // by id
  std::map<std::string, LayerRecord> layers_;  // by diffID
  std::map<std::string, std::shared_ptr<Operation>> operations_;
  std::map<std::string, int> held_;
  // Removed while held: gone with the last hold.
  std::map<std::string, Image> removed_;
};

absl::Status DiskImageStore::Load() {
  RETURN_IF_ERROR(MakeDirectory(options_.root, 0700));
  RETURN_IF_ERROR(MakeDirectory(options_.root + "/layers", 0700));
  RETURN_IF_ERROR(MakeDirectory(options_.root + "/layers/staging", 0700));
  RETURN_IF_ERROR(MakeDirectory(options_.mount_dir, 0700));
  ASSIGN_OR_RETURN(database_,
                   ImageDatabase::Open(options_.root + "/images.db"));
  ASSIGN_OR_RETURN(std::vector<LayerRecord> layers, database_->Layers());
  for (LayerRecord& layer : layers) {
    struct stat facts = {};
    if (stat(LayerPath(layer.diff_id).c_str(), &facts) != 0 ||
        static_cast<uint64_t>(facts.st_size) != layer.file_bytes) {
      LogError(absl::StrCat("load layer ", layer.diff_id,
                            ": its file is missing or of another size"));
      RETURN_IF_ERROR(database_->RemoveLayer(layer.diff_id));
      continue;
    }
    layers_[layer.diff_id] = std::move(layer);
  }
  ASSIGN_OR_RETURN(std::vector<Image> images, database_->Images());
  for (Image& image : images) {
    const bool whole = std::all_of(
        image.layers.begin(), image.layers.end(),
        [&](const std::string& id) { return layers_.contains(id); });
    if (!whole) {
      LogError(absl::StrCat("load image ", image.id,
                            ": a layer is missing, it has to be pulled again"));
      RETURN_IF_ERROR(database_->RemoveImage(image.id));
      continue;
    }
    images_[image.id] = Complete(image);
  }
  return SweepFiles();
}

// Removes files that no image owns.
absl::Status DiskImageStore::SweepFiles() {
  std::set<std::string> used;
  for (const auto& [id, image] : images_) {
    used.insert(image.layers.begin(), image.layers.end());
  }
  std::vector<std::string> unused;
  for (const auto& [diff_id, layer] : layers_) {
    if (!used.contains(diff_id)) {
      unused.push_back(diff_id);
    }
  }
  FreeLayers(unused);
  for (const char* directory : {"/layers", "/layers/staging"}) {
    const std::string path = options_.root + directory;
    DIR* const opened = opendir(path.c_str());
    if (opened == nullptr) {
      return ErrnoError("read", path);
    }
    while (const dirent* entry = readdir(opened)) {
      const absl::string_view name = entry->d_name;
      const std::string id =
          absl::StrCat("sha256:", absl::StripSuffix(name, ".erofs"));
      if (entry->d_type == DT_REG &&
          (absl::EndsWith(path, "staging") || !layers_.contains(id))) {
        unlinkat(dirfd(opened), entry->d_name, 0);
      }
    }
    closedir(opened);
  }
  return absl::OkStatus();
}

Image DiskImageStore::Complete(const Image& image) const {
  Image complete = image;
  complete.size = 0;
  complete.highest_id = 0;
  for (const std::string& diff_id : image.layers) {
    const LayerRecord& layer = layers_.at(diff_id);
    complete.size += layer.file_bytes;
    complete.highest_id = std::max(complete.highest_id, layer.highest_id);
  }
  complete.size += image.config.json.size();
  return complete;
}

absl::StatusOr<std::string> DiskImageStore::Pull(
    absl::string_view reference, const Credentials& credentials) {
  ASSIGN_OR_RETURN(const Reference parsed, ParseReference(reference));
  // Others' credentials fetch for others only.
  const std::string key = absl::StrCat(
      parsed.Name(), "\n", credentials.username, "\n", credentials.password,
      "\n", credentials.registry_token, credentials.identity_token);
  std::shared_ptr<Operation> operation;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    std::shared_ptr<Operation>& slot = operations_[key];
    if (slot != nullptr) {
      operation = slot;
      pulled_.wait(lock, [&] { return operation->done; });
      return operation->result;
    }
    slot = std::make_shared<Operation>();
    operation = slot;
  }
  absl::StatusOr<std::string> result = Fetch(parsed, credentials);
  const std::lock_guard<std::mutex> lock(mutex_);
  operation->result = result;
  operation->done = true;
  operations_.erase(key);
  pulled_.notify_all();
  return result;
}

absl::StatusOr<puller::v1::PullRequest> DiskImageStore::MakeRequest(
    const Reference& reference, const Credentials& credentials) {
  ASSIGN_OR_RETURN(const std::vector<RegistryHost> hosts,
                   FindHosts(options_.hosts_dir, reference.registry));
  puller::v1::PullRequest request;
  request.set_repository(reference.repository);
  request.set_reference(reference.digest.empty() ? reference.tag
                                                 : reference.digest);
  for (const RegistryHost& host : hosts) {
    puller::v1::Host& to = *request.add_hosts();
    to.set_url(host.url);
    to.set_api_path(host.api_path);
    to.set_skip_verify(host.skip_verify);
    to.set_ca_file(host.ca_file);
    to.set_send_credentials(host.is_origin);
  }
  puller::v1::Credentials& auth = *request.mutable_credentials();
  auth.set_username(credentials.username);
  auth.set_password(credentials.password);
  auth.set_identity_token(credentials.identity_token);
  auth.set_registry_token(credentials.registry_token);
  request.set_parallel_layers(
      static_cast<uint32_t>(options_.parallel_layers));
  request.set_uid(options_.puller_uid);
  request.set_gid(options_.puller_gid);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [diff_id, layer] : layers_) {
    request.add_known_layers(diff_id);
  }
  return request;
}

absl::StatusOr<int> DiskImageStore::OpenStaging(const std::string& diff_id,
                                                Staging& staging) {
  // The puller is not trusted with names of files.
  if (std::find(staging.image.layers.begin(), staging.image.layers.end(),
                diff_id) == staging.image.layers.end()) {
    return absl::InvalidArgumentError("open layer: not one of the image's");
  }
  UniqueFd& file = staging.files[diff_id];
  file.reset(open(StagingPath(diff_id).c_str(),
                  O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.ok()) {
    return ErrnoError("create", StagingPath(diff_id));
  }
  return file.get();
}

absl::Status DiskImageStore::CommitLayer(const puller::v1::LayerDone& done,
                                         Staging& staging) {
  const auto file = staging.files.find(done.diff_id());
  if (file == staging.files.end()) {
    return absl::InvalidArgumentError("commit layer: it was not opened");
  }
  for (const std::string& note : done.notes()) {
    LogInfo(absl::StrCat("layer ", done.diff_id(), ": ", note));
  }
  // Data, then the name, then the record: a power cut can lose a layer, and
  // never leaves half of one.
  const std::string path = LayerPath(done.diff_id());
  if (fsync(file->second.get()) != 0) {
    return ErrnoError("sync", path);
  }
  if (rename(StagingPath(done.diff_id()).c_str(), path.c_str()) != 0) {
    return ErrnoError("rename to", path);
  }
  const UniqueFd directory(open((options_.root + "/layers").c_str(),
                                O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fsync(directory.get()) != 0) {
    return ErrnoError("sync directory of", path);
  }
  staging.files.erase(file);
  LayerRecord layer;
  layer.diff_id = done.diff_id();
  layer.file_bytes = done.file_bytes();
  layer.highest_id = done.highest_id();
  layer.has_passwd = done.passwd().present();
  layer.passwd = done.passwd().content();
  layer.removes_passwd = done.passwd().removed();
  layer.has_group = done.group().present();
  layer.group = done.group().content();
  layer.removes_group = done.group().removed();
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(database_->PutLayer(layer));
  layers_[layer.diff_id] = std::move(layer);
  return absl::OkStatus();
}

absl::StatusOr<std::string> DiskImageStore::CommitImage(
    const Reference& reference, Staging& staging) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string tag =
      reference.digest.empty() ? reference.Name() : std::string();
  for (auto& [id, other] : images_) {
    if (!tag.empty() && id != staging.image.id &&
        std::count(other.repo_tags.begin(), other.repo_tags.end(), tag) > 0) {
      // The tag has moved.
      RemoveValue(other.repo_tags, tag);
      RETURN_IF_ERROR(database_->PutImage(other));
    }
  }
  const auto known = images_.find(staging.image.id);
  Image image = known == images_.end() ? staging.image : known->second;
  if (!tag.empty()) {
    AddValue(image.repo_tags, tag);
  }
  AddValue(image.repo_digests,
           absl::StrCat(reference.registry, "/", reference.repository, "@",
                        staging.digest));
  for (const std::string& diff_id : image.layers) {
    if (!layers_.contains(diff_id)) {
      return absl::InternalError(
          absl::StrCat("commit image: layer ", diff_id, " did not come"));
    }
  }
  RETURN_IF_ERROR(database_->PutImage(image));
  removed_.erase(image.id);
  images_[image.id] = Complete(image);
  return image.id;
}

absl::StatusOr<std::string> DiskImageStore::Fetch(
    const Reference& reference, const Credentials& credentials) {
  const std::lock_guard<std::mutex> one(fetching_);
  ASSIGN_OR_RETURN(const puller::v1::PullRequest request,
                   MakeRequest(reference, credentials));
  Staging staging;
  PullHandlers handlers;
  handlers.on_resolved = [&](const puller::v1::Resolved& resolved)
      -> absl::Status {
    const std::string config(resolved.config());
    if (Sha256Digest(config) != resolved.config_digest() ||
        !IsSha256Digest(resolved.digest())) {
      return absl::DataLossError("check config: its digest differs");
    }
    ASSIGN_OR_RETURN(ParsedConfig parsed, ParseConfig(config));
    staging.image.id = resolved.config_digest();
    staging.image.config = std::move(parsed.config);
    staging.image.layers = std::move(parsed.diff_ids);
    staging.digest = resolved.digest();
    return absl::OkStatus();
  };
  handlers.open_layer = [&](const std::string& diff_id) {
    return OpenStaging(diff_id, staging);
  };
  handlers.on_layer = [&](const puller::v1::LayerDone& done) {
    return CommitLayer(done, staging);
  };
  absl::Status status = RunPuller(options_.puller_binary, request, handlers);
  for (const auto& [diff_id, file] : staging.files) {
    unlink(StagingPath(diff_id).c_str());
  }
  if (!status.ok()) {
    FreeLayers(staging.image.layers);
    return status;
  }
  return CommitImage(reference, staging);
}

absl::StatusOr<std::string> DiskImageStore::FindId(
    absl::string_view text) const {
  const std::string hex(absl::StripPrefix(text, "sha256:"));
  const std::string first = absl::StrCat("sha256:", hex);
  const auto found = images_.lower_bound(first);
  if (hex.size() >= kMinPrefix && found != images_.end() &&
      absl::StartsWith(found->first, first)) {
    const auto next = std::next(found);
    if (next == images_.end() || !absl::StartsWith(next->first, first)) {
      return found->first;
    }
  }
  const absl::StatusOr<Reference> reference = ParseReference(text);
  if (reference.ok()) {
    const std::string name = reference->Name();
    for (const auto& [id, image] : images_) {
      if (std::count(image.repo_tags.begin(), image.repo_tags.end(), name) >
              0 ||
          std::count(image.repo_digests.begin(), image.repo_digests.end(),
                     name) > 0) {
        return id;
      }
    }
  }
  return absl::NotFoundError(absl::StrCat("find image \"", text, "\""));
}

absl::StatusOr<Image> DiskImageStore::Find(absl::string_view reference) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  ASSIGN_OR_RETURN(const std::string id, FindId(reference));
  return images_.at(id);
}

std::vector<Image> DiskImageStore::List() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Image> list;
  for (const auto& [id, image] : images_) {
    list.push_back(image);
  }
  return list;
}

// Removes those of `layers` that no image uses any more.
void DiskImageStore::FreeLayers(const std::vector<std::string>& layers) {
  const std::lock_guard<std::mutex> mounting(mounting_);
  const std::lock_guard<std::mutex> lock(mutex_);
  std::set<std::string> used;
  for (const auto* map : {&images_, &removed_}) {
    for (const auto& [id, image] : *map) {
      used.insert(image.layers.begin(), image.layers.end());
    }
  }
  for (const std::string& diff_id : layers) {
    if (used.contains(diff_id) || !layers_.contains(diff_id)) {
      continue;
    }
    absl::Status status = UnmountLayer(MountPoint(diff_id));
    status.Update(database_->RemoveLayer(diff_id));
    if (!status.ok()) {
      LogError(absl::StrCat("remove layer ", diff_id, ": ", status.message()));
      continue;
    }
    unlink(LayerPath(diff_id).c_str());
    layers_.erase(diff_id);
  }
}

absl::Status DiskImageStore::Remove(absl::string_view reference) {
  Image image;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const absl::StatusOr<std::string> id = FindId(reference);
    if (!id.ok()) {
      return absl::OkStatus();
    }
    image = images_.at(*id);
    RETURN_IF_ERROR(database_->RemoveImage(*id));
    images_.erase(*id);
    if (held_.contains(*id)) {
      removed_[*id] = image;
      return absl::OkStatus();
    }
  }
  FreeLayers(image.layers);
  return absl::OkStatus();
}

absl::StatusOr<identity::UserDatabase> DiskImageStore::Users(
    const std::string& image_id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = images_.find(image_id);
  if (found == images_.end()) {
    return absl::NotFoundError(absl::StrCat("find image ", image_id));
  }
  identity::UserDatabase users;
  // From the lowest layer up: the last word counts.
  for (const std::string& diff_id : found->second.layers) {
    const LayerRecord& layer = layers_.at(diff_id);
    if (layer.has_passwd || layer.removes_passwd) {
      users.passwd = layer.passwd;
    }
    if (layer.has_group || layer.removes_group) {
      users.group = layer.group;
    }
  }
  return users;
}

absl::StatusOr<std::vector<std::string>> DiskImageStore::MountLayers(
    const std::string& image_id) {
  std::vector<std::string> layers;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = images_.find(image_id);
    if (found == images_.end()) {
      return absl::NotFoundError(absl::StrCat("find image ", image_id));
    }
    layers = found->second.layers;
  }
  const std::lock_guard<std::mutex> mounting(mounting_);
  std::vector<std::string> points;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) {
    RETURN_IF_ERROR(MountLayer(LayerPath(*it), MountPoint(*it)));
    points.push_back(MountPoint(*it));
  }
  return points;
}

absl::Status DiskImageStore::UnmountAll() {
  const std::lock_guard<std::mutex> mounting(mounting_);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [diff_id, layer] : layers_) {
    RETURN_IF_ERROR(UnmountLayer(MountPoint(diff_id)));
  }
  return absl::OkStatus();
}

void DiskImageStore::Hold(const std::string& image_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++held_[image_id];
}

void DiskImageStore::Release(const std::string& image_id) {
  std::vector<std::string> layers;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = held_.find(image_id);
    if (found == held_.end() || --found->second > 0) {
      return;
    }
    held_.erase(found);
    const auto removed = removed_.find(image_id);
    if (removed == removed_.end()) {
      return;
    }
    layers = removed->second.layers;
    removed_.erase(removed);
  }
  FreeLayers(layers);
}

absl::StatusOr<FsUsage> DiskImageStore::Usage() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  FsUsage usage;
  usage.mount_point = options_.root;
  for (const auto& [diff_id, layer] : layers_) {
    usage.used_bytes += layer.file_bytes;
    ++usage.inodes_used;
  }
  return usage;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImageStore>> ImageStore::Open(Options options) {
  auto store = std::make_unique<DiskImageStore>(std::move(options));
  RETURN_IF_ERROR(Annotate(store->Load(), "open image store"));
  return store;
}

}  // namespace caisson::image
