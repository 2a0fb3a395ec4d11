#include "shim/ops/selinux.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/selinux_policy.h"

namespace caisson::ops {
namespace {

constexpr int kCategories = 1024;
// Half a million pairs: that many misses are no bad luck.
constexpr int kTries = 1000;

}  // namespace

absl::StatusOr<std::string> CheckContext(const std::string& context,
                                         const std::string& field) {
  absl::StatusOr<std::string> canonical = kernel::CanonicalContext(context);
  RETURN_IF_ERROR(Annotate(canonical.status(),
                           absl::StrCat("check ", field, ": ", context)));
  return canonical;
}

absl::StatusOr<std::string> SelinuxLevels::Take(const Format& format) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool by_name = format(0, 1) == format(0, 2);
  for (int i = 0; i < kTries; ++i) {
    const int first = absl::Uniform(random_, 0, kCategories - 1);
    const int second = absl::Uniform(random_, first + 1, kCategories);
    std::string level = format(first, second);
    if (by_name || !held_.contains(level)) {
      held_.insert(level);
      return level;
    }
  }
  return absl::ResourceExhaustedError("choose SELinux level: all are taken");
}

void SelinuxLevels::Hold(const std::string& level) {
  const std::lock_guard<std::mutex> lock(mutex_);
  held_.insert(level);
}

void SelinuxLevels::Release(const std::string& level) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = held_.find(level);
  if (found != held_.end()) {
    held_.erase(found);
  }
}

}  // namespace caisson::ops
