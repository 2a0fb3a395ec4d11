#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/json.h"
#include "runtime/network/cni.h"
#include "runtime/network/configuration.h"

namespace caisson::network {

// Whether all that goes into CNI_* variables is free of separators and
// control characters (catalogue C13).
absl::Status CheckAttachment(const Attachment& attachment);

// "CNI_COMMAND=ADD" and so on, and PATH.
std::vector<std::string> MakeEnvironment(
    const Attachment& attachment, absl::string_view command,
    const std::vector<std::string>& bin_dirs);

// What plugin `index` reads: its configuration with name, version, the
// result before it (or null) and the runtimeConfig it has capabilities for.
std::string MakeInput(const Configuration& configuration, size_t index,
                      const Attachment& attachment,
                      const json::Value& previous);

// The addresses of the attachment's interface in a result, without prefix
// length.  NotFound when there is none.
absl::StatusOr<Addresses> ReadAddresses(const json::Value& result,
                                        absl::string_view interface);

}  // namespace caisson::network
