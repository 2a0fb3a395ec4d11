#include "runtime/kernel/apparmor.h"

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/procfs.h"

namespace caisson::kernel {
namespace {

constexpr char kEnabled[] = "/sys/module/apparmor/parameters/enabled";
constexpr char kProfiles[] = "/sys/kernel/security/apparmor/profiles";
// A node of many snaps has thousands of names.
constexpr size_t kMostProfiles = 16 << 20;
constexpr char kExec[] = "thread-self/attr/apparmor/exec";

}  // namespace

bool HasAppArmor() {
  return absl::StartsWith(ReadRegularFile(kEnabled, 16).value_or("N"), "Y");
}

absl::StatusOr<std::set<std::string>> AppArmorProfiles() {
  std::set<std::string> profiles;
  if (!HasAppArmor()) {
    return profiles;
  }
  const absl::StatusOr<std::string> text =
      ReadRegularFile(kProfiles, kMostProfiles);
  if (absl::IsNotFound(text.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("read ", kProfiles, ": is securityfs mounted?"));
  }
  RETURN_IF_ERROR(text.status());
  // "NAME (MODE)"
  for (absl::string_view line :
       absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    profiles.emplace(line.substr(0, line.rfind(" (")));
  }
  return profiles;
}

absl::Status ConfineOnExec(int root, const std::string& profile) {
  ASSIGN_OR_RETURN(const UniqueFd out, OpenProcFileOf(root, kExec, O_WRONLY));
  const std::string command = absl::StrCat("exec ", profile);
  if (write(out.get(), command.data(), command.size()) < 0) {
    return ErrnoError("confine by AppArmor profile", profile);
  }
  ASSIGN_OR_RETURN(const UniqueFd in, OpenProcFileOf(root, kExec, O_RDONLY));
  char text[512];
  const ssize_t length = read(in.get(), text, sizeof(text));
  if (length < 0 ||
      !absl::StartsWith(absl::string_view(text, static_cast<size_t>(length)),
                        profile)) {
    return absl::InternalError(
        absl::StrCat("confine by AppArmor profile ", profile,
                     ": the kernel says something else"));
  }
  return absl::OkStatus();
}

}  // namespace caisson::kernel
