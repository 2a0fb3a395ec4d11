#include "tests/support/machine.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace caisson::testing {

bool MustRun() {
  const char* value = getenv("CAISSON_MUST_RUN");
  return value != nullptr && std::string(value) == "1";
}

bool IsRoot() {
  return geteuid() == 0;
}

TemporaryDirectory::TemporaryDirectory() {
  // A real disk: an overlay's upper directory can't be on another overlay.
  char name[] = "/var/tmp/caisson-test.XXXXXX";
  path_ = mkdtemp(name) == nullptr ? "" : name;
}

TemporaryDirectory::~TemporaryDirectory() {
  if (!path_.empty()) {
    Shell("rm -rf --one-file-system " + path_);
  }
}

int Shell(const std::string& command) {
  const int status = system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

std::string ShellOutput(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "re");
  std::string output;
  if (pipe == nullptr) {
    return output;
  }
  char buffer[4096];
  size_t length = 0;
  while ((length = fread(buffer, 1, sizeof(buffer), pipe)) > 0) {
    output.append(buffer, length);
  }
  pclose(pipe);
  while (!output.empty() && output.back() == '\n') {
    output.pop_back();
  }
  return output;
}

std::string ReadFile(const std::string& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace caisson::testing
