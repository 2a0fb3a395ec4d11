#include "runtime/base/rollback.h"

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"

namespace caisson {

Rollback::~Rollback() {
  for (auto it = undos_.rbegin(); it != undos_.rend(); ++it) {
    if (absl::Status status = it->second(); !status.ok()) {
      LogWarning(absl::StrCat("roll back ", it->first, ": ", status.message()));
    }
  }
}

}  // namespace caisson
