#pragma once

#include <string>

#include "absl/status/status.h"

// SELinux by its files and attributes (selinux(8), setexeccon(3),
// setfilecon(3)); what the loaded policy says is in selinux_policy.h.
namespace caisson::kernel {

// The calling thread's next execve has the context `label`, which is read
// back from the kernel.  `root`: as for ConfineOnExec() of apparmor.h.
absl::Status LabelOnExec(int root, const std::string& label);

// Gives the tree below `root` (O_PATH is enough) the file context `label`, but
// for what is mounted in it; no link is followed.  `root` itself is last, and
// when it has the label already all below it is taken to have it: a volume of
// a million files is relabelled once, and one that was cut off again.  OK
// where the filesystem has no labels.  As host root.
absl::Status Relabel(int root, const std::string& label);

}  // namespace caisson::kernel
