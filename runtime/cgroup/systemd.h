#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/deadline.h"

// cgroups on a machine whose tree systemd owns: a delegated scope a pod, in
// the slice that the kubelet names.  Below the scope everything is ours
// (systemd.resource-control(5), "Delegate=").
namespace caisson::cgroup {

// Whether systemd is the machine's init (sd_booted(3)).
bool SystemdRuns();

// Path of a slice by its name, which holds its parents':
// "a-b.slice" -> "a.slice/a-b.slice"; "-.slice" -> "".  A path is taken by its
// last part, as the kubelet may write either.  InvalidArgument for anything
// else (systemd.slice(5)).
absl::StatusOr<std::string> ExpandSlice(absl::string_view slice);

struct Scope {
  std::string unit;         // "caisson-ID.scope"
  std::string slice;        // its name: "kubepods-pod1.slice"
  std::string description;  // what systemctl status shows
  int pid = 0;              // moved into it; its end may end the scope
};

// Makes a transient scope and waits until it is there.  The scope goes when
// its last process has gone.  DeadlineExceeded; Unavailable without
// a bus.  Thread-safe: each call has a connection of its own.
absl::Status StartScope(const Scope& scope, Deadline deadline);

// Ends it with all processes in it; OK when there is none.
absl::Status StopScope(const std::string& unit, Deadline deadline);

}  // namespace caisson::cgroup
