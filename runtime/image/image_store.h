#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "runtime/base/deadline.h"
#include "runtime/identity/user_lookup.h"

namespace caisson::image {

// What a client calls an image, taken apart and filled in: "busybox" is
// registry docker.io, repository library/busybox, tag latest.
struct Reference {
  std::string registry;  // host[:port]
  std::string repository;
  std::string tag;     // empty when only a digest is given
  std::string digest;  // "sha256:..."; empty without

  // "registry/repository:tag" / "registry/repository@digest".
  std::string Name() const;
};

// InvalidArgument naming the text when it isn't one.
absl::StatusOr<Reference> ParseReference(absl::string_view text);

// The parts of an image's configuration that containers use.
struct ImageConfig {
  std::string user;
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string working_dir;
  std::string stop_signal;
  std::vector<std::string> volumes;
  std::string json;  // as it came, for verbose status
};

struct Image {
  std::string id;  // "sha256:" and the config's digest
  std::vector<std::string> repo_tags;
  std::vector<std::string> repo_digests;
  uint64_t size = 0;  // bytes its layers occupy on disk
  ImageConfig config;
  // diffIDs, lowest first.
  std::vector<std::string> layers;
  // Highest user or group id any layer's file has.
  uint32_t highest_id = 0;
  bool pinned = false;
};

struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
  std::string server_address;
};

struct FsUsage {
  std::string mount_point;
  uint64_t used_bytes = 0;
  uint64_t inodes_used = 0;
};

class ImageStore;

// An image that can't be taken away: its layers stay, though its names may go.
// Movable.  Any thread, one at a time.
class HeldImage {
 public:
  HeldImage(HeldImage&& other) noexcept
      : store_(std::exchange(other.store_, nullptr)),
        image_(std::move(other.image_)) {}

  HeldImage& operator=(HeldImage&& other) noexcept;
  ~HeldImage();

  // As it was when it was held.
  const Image& image() const { return image_; }

  // The hold outlives this: who calls it owes the store a Release(id).
  std::string Keep() &&;

 private:
  friend class ImageStore;

  HeldImage(ImageStore& store, Image image)
      : store_(&store), image_(std::move(image)) {}

  ImageStore* store_;  // null: moved from, or kept
  Image image_;
};

// Images and their sealed layers on disk.  All answers but Pull() and
// MountLayers() come from memory.  Any thread.
class ImageStore {
 public:
  struct Options {
    std::string root;  // durable: images.db, layers/
    std::string
        mount_dir;  // where layers are mounted, e.g. /run/caisson/layers
    std::string hosts_dir;      // registry configuration: DIR/HOST/hosts.toml
    std::string puller_binary;  // path of caisson-puller
    uint32_t puller_uid = 65534;
    uint32_t puller_gid = 65534;
    int parallel_layers = 4;  // of one pull
    // Fetches at a time, each with a thread and a process; others wait.
    int parallel_pulls = 8;
    // A fetch that gets nothing at all for so long is ended.
    absl::Duration stall_limit = absl::Seconds(120);
  };

  // Opens or makes the store; sets damaged records aside with a log line and
  // removes layers that no record owns and staging leftovers.
  static absl::StatusOr<std::unique_ptr<ImageStore>> Open(Options options);
  virtual ~ImageStore() = default;

  // Fetches `reference` unless all of it is here, and returns the image's id.
  // Pulls of one reference (and of one layer) join.  Whoever gives up, by
  // `deadline` (DeadlineExceeded) or because `cancel` (borrowed; -1: none)
  // became readable (Cancelled), leaves the others to it; the last one that
  // leaves ends the fetch.  The image was here at a moment between call and
  // answer; only a hold keeps it.  NotFound: the registry
  // hasn't it; PermissionDenied/Unauthenticated; Unavailable: no registry
  // answered; DataLoss: a digest differs; InvalidArgument: not a reference or
  // a malformed image.
  virtual absl::StatusOr<std::string> Pull(absl::string_view reference,
                                           const Credentials& credentials,
                                           Deadline deadline, int cancel) = 0;

  // By id, id prefix, name, tag or digest.  NotFound; InvalidArgument: a
  // prefix that several ids have.
  virtual absl::StatusOr<Image> Find(absl::string_view reference) const = 0;

  // The same, and a hold on it with nothing in between.
  absl::StatusOr<HeldImage> FindAndHold(absl::string_view reference);
  virtual std::vector<Image> List() const = 0;

  // Removes the image with all its names (an id or a digest), its unshared
  // layers and their mounts.  OK when absent; InvalidArgument as Find().  While
  // it is held only the names go, and the rest with the last hold.
  virtual absl::Status Remove(absl::string_view reference) = 0;

  // The image's stored /etc/passwd and /etc/group.
  virtual absl::StatusOr<identity::UserDatabase> Users(
      const std::string& image_id) const = 0;

  // Mounts the image's layers where they aren't yet (EROFS from the file,
  // directio, read-only, nodev) and returns their mount points, topmost
  // first.  They stay mounted until the image is removed or UnmountAll().
  virtual absl::StatusOr<std::vector<std::string>> MountLayers(
      const std::string& image_id) = 0;
  virtual absl::Status UnmountAll() = 0;

  // A container uses the image: its removal only drops the names until the
  // last Release (as containerd: an image in use may be untagged).  For a
  // container that exists; others go by FindAndHold().  NotFound: it is gone,
  // and there is nothing to release.
  virtual absl::Status Hold(const std::string& image_id) = 0;
  // Ends one hold that was given.
  virtual void Release(const std::string& image_id) = 0;

  virtual absl::StatusOr<FsUsage> Usage() const = 0;

 protected:
  // Find() and Hold() at one moment.
  virtual absl::StatusOr<Image> FindHeld(absl::string_view reference) = 0;
};

}  // namespace caisson::image
