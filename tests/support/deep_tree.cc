#include "tests/support/deep_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/base/unique_fd.h"

namespace caisson::testing {
namespace {

UniqueFd MakeBelow(int directory, const char* name) {
  EXPECT_EQ(mkdirat(directory, name, 0700), 0) << name;
  return UniqueFd(openat(directory, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

void MakeDeepTree(const std::string& path, int depth) {
  UniqueFd here = MakeBelow(AT_FDCWD, path.c_str());
  for (int i = 0; i < depth && here.ok(); ++i) {
    EXPECT_EQ(mknodat(here.get(), "file", S_IFREG | 0600, 0), 0);
    here = MakeBelow(here.get(), "d");
  }
}

}  // namespace caisson::testing
