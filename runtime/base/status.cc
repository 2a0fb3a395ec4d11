#include "runtime/base/status.h"

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace caisson {

absl::Status ErrnoError(absl::string_view verb, absl::string_view object) {
  const int error = errno;
  return absl::ErrnoToStatus(error, absl::StrCat(verb, " ", object));
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) {
    return status;
  }
  return absl::Status(status.code(),
                      absl::StrCat(context, ": ", status.message()));
}

}  // namespace caisson
