#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "shim/config/config.h"

namespace caisson::ops {

// Where on the host the things of a pod and a container are.
class Paths {
 public:
  explicit Paths(const config::Config& config)
      : root_(config.root), state_(config.state) {}

  // Gone with a reboot: the pod's files and mount points.
  std::string PodsDirectory() const { return state_ + "/pods"; }

  std::string PodDirectory(const std::string& pod_id) const {
    return absl::StrCat(PodsDirectory(), "/", pod_id);
  }

  std::string KeepersDirectory() const { return state_ + "/keepers"; }

  // Short: an address has 107 bytes (unix(7)).
  std::string KeeperSocket(const std::string& pod_id) const {
    return absl::StrCat(KeepersDirectory(), "/", pod_id.substr(0, 32));
  }

  std::string PinsDirectory() const { return state_ + "/netns"; }

  std::string NetworkPin(const std::string& pod_id) const {
    return absl::StrCat(PinsDirectory(), "/", pod_id);
  }

  // The lowest layer of each container: mount points that few images have.
  std::string BaseLayer() const { return state_ + "/base"; }

  std::string ContainersDirectory() const { return root_ + "/containers"; }

  // On a disk: what the container writes.
  std::string ContainerDirectory(const std::string& id) const {
    return absl::StrCat(ContainersDirectory(), "/", id);
  }

  // What is being deleted, beside the above.
  std::string TrashDirectory() const { return root_ + "/trash"; }

  // What plugins answered, which their DEL needs after a reboot too.
  std::string NetworkResults() const { return root_ + "/cni"; }

 private:
  const std::string root_;
  const std::string state_;
};

}  // namespace caisson::ops
