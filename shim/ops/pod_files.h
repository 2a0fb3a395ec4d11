#pragma once

#include <string>

#include "absl/status/status.h"
#include "shim/plan/pod.h"

// The files that every container of a pod gets from the runtime, unless it
// mounts its own: /etc/resolv.conf, /etc/hostname and /etc/hosts.  Containers
// may write to them, as with other runtimes, so they are in a place of their
// own with a size: a tmpfs a pod, mounted on the host below the pod's
// directory.  It can be ID-mapped (Linux 6.3), stays when the daemon ends and
// goes with the pod; after a reboot it is gone, as the pod is.
//
// All functions take the pod's directory, which is ours alone.  Any thread,
// one at a time a pod.
namespace caisson::ops {

struct PodFiles {
  std::string resolv_conf;
  std::string hostname;
  std::string hosts;
};

// The text of each.  The host's resolv.conf where the pod names no DNS, the
// host's hosts where it shares the host's network; of a file that is missing,
// or larger than 1 MiB, nothing.
PodFiles DescribePodFiles(const plan::PodDecision& decision);

// Where they are: what a container's plan takes them from.
std::string PodFilesDirectory(const std::string& pod_directory);

// Makes them.  Together they may grow by 64 KiB.  A failure leaves nothing
// mounted; a retry may find the directory there.
absl::Status MakePodFiles(const std::string& pod_directory,
                          const PodFiles& files);

// Removes the pod's directory with all that is in it, the mount of its files
// first.  Containers that still have them keep what they have.  OK when there
// is none: for removal, rollback and what a crash left alike.
absl::Status RemovePodDirectory(const std::string& pod_directory);

}  // namespace caisson::ops
