#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Returns from the enclosing function if `expr` is an error.
#define RETURN_IF_ERROR(expr)                                     \
  do {                                                            \
    if (absl::Status status_macro_ = (expr); !status_macro_.ok()) \
      return status_macro_;                                       \
  } while (false)

#define CAISSON_CONCAT_INNER_(x, y) x##y
#define CAISSON_CONCAT_(x, y) CAISSON_CONCAT_INNER_(x, y)

// Declares or assigns `lhs` from a StatusOr, or returns its error.
#define ASSIGN_OR_RETURN(lhs, expr) \
  CAISSON_ASSIGN_OR_RETURN_(CAISSON_CONCAT_(statusor_, __LINE__), lhs, expr)
#define CAISSON_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                              \
  if (!tmp.ok())                                  \
    return std::move(tmp).status();               \
  lhs = std::move(tmp).value()

namespace caisson {

// A status from the current errno: "mount /proc: Permission denied".  Reads
// errno before anything else, so it may be called directly after the failed
// system call.  The code is that of absl::ErrnoToStatus: it speaks of the
// kernel, and is translated before it reaches a client of the CRI.
absl::Status ErrnoError(absl::string_view verb, absl::string_view object);

// Prefixes the message of a failed `status` with `context`, and keeps its
// payloads; OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

}  // namespace caisson
