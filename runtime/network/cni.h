#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

namespace caisson::network {

struct PortMapping {
  int32_t host_port = 0;
  int32_t container_port = 0;
  std::string protocol;  // "tcp", "udp", "sctp"
  std::string host_ip;
};

// What a pod's attachment needs; kept in the pod's record before ADD so that
// DEL can be done after a crash.
struct Attachment {
  std::string pod_id;      // CNI_CONTAINERID
  std::string netns_path;  // a pin on the host; empty: gone (DEL only)
  std::string interface = "eth0";
  std::string pod_name;
  std::string pod_namespace;
  std::string pod_uid;
  std::vector<PortMapping> ports;
  std::map<std::string, std::string> annotations;
};

struct Addresses {
  std::vector<std::string> ips;  // without prefix length, first is primary
};

// Runs CNI plugins (spec 0.3.1 to 1.1.0) of the first configuration in a
// directory, by lexical order of *.conf, *.conflist and *.json.  Any thread;
// calls for different pods run side by side.
class Cni {
 public:
  struct Options {
    std::string conf_dir;
    std::vector<std::string> bin_dirs;
    // Cached results of ADD, needed by DEL: one file a pod.  On a disk: DEL
    // comes after a reboot, too.
    std::string cache_dir;
    absl::Duration timeout = absl::Seconds(60);  // at most, each plugin run
  };

  virtual ~Cni() = default;
  static std::unique_ptr<Cni> Create(Options options);

  // OK when a usable configuration is there; else why not (for the CRI's
  // NetworkReady).  Reads the directory again when it changed.
  virtual absl::Status CheckReady() = 0;

  // ADD of every plugin in order, prevResult handed on; on failure DEL in
  // reverse, which has time of its own: Options::timeout for each plugin,
  // whatever `deadline` says.  The error names plugin, verb, the plugin's own
  // message; DeadlineExceeded: a plugin was killed.  When the undoing fails,
  // too, the cache stays, and Delete() can be called again.
  // The loopback interface is not CNI's here: the keeper brings it up.
  virtual absl::StatusOr<Addresses> Add(const Attachment& attachment,
                                        Deadline deadline) = 0;

  // DEL in reverse order with the configuration and result that ADD used
  // (cached; else today's).  A namespace that is gone (a reboot) is told to
  // plugins as such.  OK when there is nothing to delete, also for plugins:
  // they are asked again, for the cache may have been lost with a power cut.
  // On failure the cache stays: call it again.
  virtual absl::Status Delete(const Attachment& attachment,
                              Deadline deadline) = 0;

  // Ids of the pods for which ADD was begun and DEL has not succeeded.
  virtual absl::StatusOr<std::vector<std::string>> CachedPods() const = 0;

  // What Add() was called with, for Delete() when the pod's record is lost.
  // NotFound.  Of a file that can't be used, which is set aside with a log
  // line, the id alone is left: enough for a plugin to free an address.
  virtual absl::StatusOr<Attachment> CachedAttachment(
      const std::string& pod_id) const = 0;
};

// Pins `netns` at `path` by a bind mount (created, mode 0444).
absl::Status PinNamespace(int netns, const std::string& path);
// Unmounts and removes the pin.  Idempotent.
absl::Status UnpinNamespace(const std::string& path);

}  // namespace caisson::network
