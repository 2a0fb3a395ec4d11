#pragma once

#include <atomic>
#include <string>

#include "absl/status/status.h"

namespace caisson {

// Removes the directory `path` and all below it by directory fds: no link is
// followed and no mount point crossed (CVE-2024-23652).  OK when absent.
//
// Takes a handful of fds, a constant amount of memory and a time linear in the
// number of entries, whatever a container has built there: a directory that
// isn't empty is moved up to the top before it is emptied, so that nothing is
// ever deeper than two.  What can't be removed (FailedPrecondition: something
// is mounted there) doesn't keep the rest; the first error is returned.  May
// be called again, and by several at once.
//
// `stop`, when given, ends the work with Cancelled soon after it became true.
absl::Status RemoveTree(const std::string& path,
                        const std::atomic<bool>* stop = nullptr);

}  // namespace caisson
