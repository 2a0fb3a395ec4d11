#include "runtime/kernel/apparmor.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/procfs.h"

namespace caisson::kernel {
namespace {

constexpr char kEnabled[] = "/sys/module/apparmor/parameters/enabled";
constexpr char kProfiles[] = "/sys/kernel/security/apparmor/profiles";
constexpr char kExec[] = "thread-self/attr/apparmor/exec";

}  // namespace

bool HasAppArmor() {
  std::ifstream file(kEnabled);
  char answer = 'N';
  file >> answer;
  return answer == 'Y';
}

absl::StatusOr<std::set<std::string>> AppArmorProfiles() {
  std::set<std::string> profiles;
  if (!HasAppArmor()) {
    return profiles;
  }
  std::ifstream file(kProfiles);
  if (!file) {
    return absl::FailedPreconditionError(
        absl::StrCat("read ", kProfiles, ": is securityfs mounted?"));
  }
  // "NAME (MODE)"
  for (std::string line; std::getline(file, line);) {
    profiles.insert(line.substr(0, line.rfind(" (")));
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
