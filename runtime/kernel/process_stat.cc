#include "runtime/kernel/process_stat.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/kernel/procfs.h"

namespace caisson::kernel {
namespace {

// The first field behind the name, which ends with the last parenthesis: what
// is in the name is the process's own choice.
constexpr int kFirstField = 3;

}  // namespace

absl::StatusOr<uint64_t> ReadProcessStat(pid_t pid, int field) {
  const std::string path = absl::StrCat(pid, "/stat");
  ASSIGN_OR_RETURN(const UniqueFd file, OpenProcFile(path, O_RDONLY));
  char text[4096];
  const ssize_t length = read(file.get(), text, sizeof(text));
  if (length < 0) {
    return errno == ESRCH ? absl::NotFoundError(absl::StrCat("read ", path))
                          : ErrnoError("read", path);
  }
  const absl::string_view line(text, static_cast<size_t>(length));
  const size_t name_end = line.rfind(')');
  if (name_end == absl::string_view::npos || name_end + 2 > line.size()) {
    return absl::InternalError(absl::StrCat("read ", path, ": malformed"));
  }
  const std::vector<absl::string_view> fields =
      absl::StrSplit(line.substr(name_end + 2), ' ');
  const auto index = static_cast<size_t>(field - kFirstField);
  uint64_t value = 0;
  if (field < kFirstField || index >= fields.size() ||
      !absl::SimpleAtoi(absl::StripAsciiWhitespace(fields[index]), &value)) {
    return absl::InternalError(absl::StrCat("read ", path, ": malformed"));
  }
  return value;
}

}  // namespace caisson::kernel
