#include "runtime/kernel/selinux_policy.h"

#include <selinux/selinux.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"

namespace caisson::kernel {

absl::StatusOr<SelinuxPolicy> ParseContainerContexts(const std::string& text) {
  constexpr size_t kFields = 4;
  SelinuxPolicy policy;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    absl::string_view value = absl::StripAsciiWhitespace(parts.second);
    absl::ConsumePrefix(&value, "\"");
    absl::ConsumeSuffix(&value, "\"");
    const absl::string_view key = absl::StripAsciiWhitespace(parts.first);
    if (key == "process") {
      policy.process = std::string(value);
    } else if (key == "file") {
      policy.file = std::string(value);
    }
  }
  for (const std::string& context : {policy.process, policy.file}) {
    const std::vector<std::string> fields =
        absl::StrSplit(context, absl::MaxSplits(':', kFields - 1));
    if (fields.size() != kFields) {
      return absl::FailedPreconditionError(
          absl::StrCat("read contexts of containers: \"", context,
                       "\" is not user:role:type:level"));
    }
  }
  policy.enabled = true;
  return policy;
}

absl::StatusOr<SelinuxPolicy> ReadSelinuxPolicy() {
  if (is_selinux_enabled() != 1) {
    return SelinuxPolicy();
  }
  constexpr size_t kMost = 65536;
  const std::string path = selinux_lxc_contexts_path();
  const absl::StatusOr<std::string> text = ReadRegularFile(path, kMost);
  if (!text.ok()) {
    return absl::FailedPreconditionError(text.status().message());
  }
  absl::StatusOr<SelinuxPolicy> policy = ParseContainerContexts(*text);
  RETURN_IF_ERROR(Annotate(policy.status(), path));
  return policy;
}

absl::StatusOr<std::string> CanonicalContext(const std::string& context) {
  char* canonical = nullptr;
  if (security_canonicalize_context(context.c_str(), &canonical) != 0) {
    return errno == EINVAL
               ? absl::InvalidArgumentError("is no context of the policy")
               : ErrnoError("check context", context);
  }
  std::string text(canonical);
  freecon(canonical);
  return text;
}

}  // namespace caisson::kernel
