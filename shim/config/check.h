#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// What a string of the configuration may be.  The message of a failure ends
// the sentence "KEY ...".
namespace caisson::config {

// Begins with a slash and has no "." or ".." in it: these paths are joined to
// and compared later.
absl::Status CheckPath(absl::string_view value);
absl::Status CheckPathOrEmpty(absl::string_view value);

// A path that fits into sockaddr_un with its terminating zero.
absl::Status CheckSocket(absl::string_view value);

absl::Status CheckLogLevel(absl::string_view value);

// A name in /etc/subuid, where a colon ends it.
absl::Status CheckUserName(absl::string_view value);

// A cgroup below the root of each hierarchy: relative, without "..".
absl::Status CheckCgroup(absl::string_view value);

absl::Status CheckCgroupDriver(absl::string_view value);

absl::Status CheckVolumes(absl::string_view value);

// What Kubernetes accepts as the handler of a RuntimeClass: a DNS label.
absl::Status CheckHandlerName(absl::string_view value);

}  // namespace caisson::config
