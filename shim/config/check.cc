#include "shim/config/check.h"

#include <sys/un.h>

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace caisson::config {
namespace {

absl::Status Must(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("must ", what));
}

bool HasOnly(absl::string_view value, bool (*allowed)(char)) {
  return std::all_of(value.begin(), value.end(), allowed);
}

// Whether each piece between slashes is a real name.
bool HasPlainNames(absl::string_view path) {
  const std::vector<absl::string_view> names = absl::StrSplit(path, '/');
  return std::all_of(names.begin(), names.end(), [](absl::string_view name) {
    return !name.empty() && name != "." && name != "..";
  });
}

}  // namespace

absl::Status CheckPath(absl::string_view value) {
  const bool printable = HasOnly(value, [](char c) {
    return !absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  if (!absl::StartsWith(value, "/") || !HasPlainNames(value.substr(1)) ||
      !printable) {
    return Must("be an absolute path without . or .. in it");
  }
  return absl::OkStatus();
}

absl::Status CheckPathOrEmpty(absl::string_view value) {
  return value.empty() ? absl::OkStatus() : CheckPath(value);
}

absl::Status CheckSocket(absl::string_view value) {
  if (value.size() >= sizeof(sockaddr_un::sun_path)) {
    return Must(absl::StrCat("be shorter than ", sizeof(sockaddr_un::sun_path),
                             " bytes"));
  }
  return CheckPath(value);
}

absl::Status CheckLogLevel(absl::string_view value) {
  if (value == "debug" || value == "info" || value == "warning" ||
      value == "error") {
    return absl::OkStatus();
  }
  return Must("be debug, info, warning or error");
}

absl::Status CheckUserName(absl::string_view value) {
  const bool plain = HasOnly(value, [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != ':';
  });
  if (value.empty() || !plain) {
    return Must("be the name of an entry in /etc/subuid");
  }
  return absl::OkStatus();
}

absl::Status CheckCgroup(absl::string_view value) {
  const bool plain = HasOnly(value, [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
  if (!plain || !HasPlainNames(value)) {
    return Must("be a relative path without . or .. in it");
  }
  return absl::OkStatus();
}

absl::Status CheckCgroupDriver(absl::string_view value) {
  if (value == "auto" || value == "cgroupfs" || value == "systemd") {
    return absl::OkStatus();
  }
  return Must("be auto, cgroupfs or systemd");
}

absl::Status CheckVolumes(absl::string_view value) {
  return value == "writable" || value == "ignore"
             ? absl::OkStatus()
             : Must("be writable or ignore");
}

absl::Status CheckHandlerName(absl::string_view value) {
  constexpr size_t kLongestLabel = 63;  // RFC 1123
  const bool plain = HasOnly(value, [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return absl::ascii_islower(u) || absl::ascii_isdigit(u) || c == '-';
  });
  if (value.empty() || value.size() > kLongestLabel || !plain ||
      value.front() == '-' || value.back() == '-') {
    return Must("be lower-case letters, digits and inner hyphens, at most 63");
  }
  return absl::OkStatus();
}

}  // namespace caisson::config
