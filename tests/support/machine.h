#pragma once

#include <string>

// What a test needs of the machine.  A test that lacks it is skipped with the
// reason; under CAISSON_MUST_RUN=1 it fails instead.
#define CAISSON_REQUIRE(condition, why)               \
  do {                                                \
    if (!(condition)) {                               \
      if (::caisson::testing::MustRun()) {            \
        GTEST_FAIL() << "cannot run here: " << (why); \
      }                                               \
      GTEST_SKIP() << (why);                          \
    }                                                 \
  } while (false)

#define CAISSON_REQUIRE_ROOT() \
  CAISSON_REQUIRE(::caisson::testing::IsRoot(), "needs root")

namespace caisson::testing {

bool MustRun();
bool IsRoot();

// A new directory below /var/tmp, removed with all it holds by the destructor.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Runs a shell command; its exit code.
int Shell(const std::string& command);
// Its output, without the last newline.
std::string ShellOutput(const std::string& command);

std::string ReadFile(const std::string& path);

}  // namespace caisson::testing
