#include "tests/support/immutable_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

namespace caisson::testing {
namespace {

bool SetFlag(int fd, bool set) {
  int flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) {
    return false;
  }
  flags = set ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

}  // namespace

ImmutableFile::ImmutableFile(const std::string& path)
    : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)),
      ok_(SetFlag(file_.get(), true)) {}

void ImmutableFile::Clear() const {
  SetFlag(file_.get(), false);
}

}  // namespace caisson::testing
