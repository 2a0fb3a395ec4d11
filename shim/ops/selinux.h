#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "absl/random/random.h"
#include "absl/status/statusor.h"

namespace caisson::ops {

// The context as the kernel writes it; InvalidArgument names the field when
// the policy has no such context.
absl::StatusOr<std::string> CheckContext(const std::string& context,
                                         const std::string& field);

// The SELinux levels of the pods: two of 1024 categories each, so that the
// processes of one pod may not touch the files of another.  Any thread.
class SelinuxLevels {
 public:
  // Text of the level with these two categories.
  using Format = std::function<std::string(int first, int second)>;

  // One that nobody holds, held from here on; one that a pod asks for by name
  // (`format` tells no difference then) may be held by several.
  absl::StatusOr<std::string> Take(const Format& format);

  // Of a pod that was there before.
  void Hold(const std::string& level);

  // Once for each of the above; nothing for an empty level.
  void Release(const std::string& level);

 private:
  std::mutex mutex_;
  absl::BitGen random_;
  std::multiset<std::string> held_;
};

}  // namespace caisson::ops
