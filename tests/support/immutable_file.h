#pragma once

#include <string>

#include "runtime/base/unique_fd.h"

namespace caisson::testing {

// An existing file that nobody may change or remove, ioctl_iflags(2), until
// Clear() or the destructor.
class ImmutableFile {
 public:
  explicit ImmutableFile(const std::string& path);
  ImmutableFile(const ImmutableFile&) = delete;
  ImmutableFile& operator=(const ImmutableFile&) = delete;

  ~ImmutableFile() { Clear(); }

  // Whether it is one: not all filesystems know of such.
  bool ok() const { return ok_; }

  void Clear() const;

 private:
  UniqueFd file_;
  bool ok_ = false;
};

}  // namespace caisson::testing
