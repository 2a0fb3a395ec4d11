#include "shim/config/rlimit.h"

#include <sys/resource.h>

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"

namespace caisson::config {
namespace {

struct Name {
  absl::string_view name;
  int resource;
};

constexpr Name kNames[] = {
    {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},         {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},     {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},       {"nproc", RLIMIT_NPROC},
    {"rss", RLIMIT_RSS},         {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},   {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

absl::StatusOr<int> FindResource(absl::string_view name) {
  if (name == "nofile") {
    return absl::InvalidArgumentError(
        "has keys of its own: limits.nofile_soft and limits.nofile_hard");
  }
  for (const Name& known : kNames) {
    if (known.name == name) {
      return known.resource;
    }
  }
  return absl::InvalidArgumentError("is not the name of a limit");
}

absl::StatusOr<uint64_t> ParseValue(absl::string_view text) {
  uint64_t value = 0;
  if (text == "unlimited") {
    return uint64_t{RLIM_INFINITY};
  }
  if (!absl::SimpleAtoi(text, &value) || value == RLIM_INFINITY) {
    return absl::InvalidArgumentError(
        "must be \"SOFT:HARD\" or one value, each a number or \"unlimited\"");
  }
  return value;
}

std::string ValueText(uint64_t value) {
  return value == RLIM_INFINITY ? "unlimited" : absl::StrCat(value);
}

}  // namespace

absl::StatusOr<Rlimit> ParseRlimit(absl::string_view name,
                                   absl::string_view text) {
  Rlimit limit;
  ASSIGN_OR_RETURN(limit.resource, FindResource(name));
  const std::pair<absl::string_view, absl::string_view> values =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  ASSIGN_OR_RETURN(limit.soft, ParseValue(values.first));
  const bool two = text.find(':') != absl::string_view::npos;
  ASSIGN_OR_RETURN(limit.hard, ParseValue(two ? values.second : values.first));
  if (limit.soft > limit.hard) {
    return absl::InvalidArgumentError("must not have a soft limit above hard");
  }
  return limit;
}

std::string RlimitText(const Rlimit& limit) {
  return absl::StrCat(ValueText(limit.soft), ":", ValueText(limit.hard));
}

}  // namespace caisson::config
