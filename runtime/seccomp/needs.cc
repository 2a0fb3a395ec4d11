#include "runtime/seccomp/needs.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::seccomp {
namespace {

#if defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#endif

using Filter = std::vector<sock_filter>;

// A word of struct seccomp_data that is the same for each such call.
std::optional<uint32_t> Load(uint32_t offset, uint32_t number) {
  switch (offset) {
    case offsetof(seccomp_data, nr):
      return number;
    case offsetof(seccomp_data, arch):
      return kArch;
    default:
      return std::nullopt;
  }
}

bool Jumps(const sock_filter& jump, uint32_t value) {
  switch (BPF_OP(jump.code)) {
    case BPF_JEQ:
      return value == jump.k;
    case BPF_JGT:
      return value > jump.k;
    case BPF_JGE:
      return value >= jump.k;
    default:
      return (value & jump.k) != 0;
  }
}

// What the filter answers to the call (SECCOMP_RET_*), whatever its arguments;
// nothing when it looks at them.  Jumps lead forward only.
std::optional<uint32_t> Answer(const Filter& filter, uint32_t number) {
  uint32_t value = 0;
  for (size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& one = filter[at];
    if (one.code == (BPF_LD | BPF_W | BPF_ABS)) {
      const std::optional<uint32_t> word = Load(one.k, number);
      if (!word.has_value()) {
        return std::nullopt;
      }
      value = *word;
    } else if (one.code == (BPF_JMP | BPF_JA)) {
      at += one.k;
    } else if (BPF_CLASS(one.code) == BPF_JMP && BPF_SRC(one.code) == BPF_K) {
      at += Jumps(one, value) ? one.jt : one.jf;
    } else if (one.code == (BPF_ALU | BPF_AND | BPF_K)) {
      value &= one.k;
    } else if (one.code == (BPF_RET | BPF_K)) {
      return one.k;
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

absl::Status CheckCall(const Filter& filter, const char* name, long number,
                       const char* why) {
  const std::optional<uint32_t> answer =
      Answer(filter, static_cast<uint32_t>(number));
  if (!answer.has_value()) {
    return absl::OkStatus();
  }
  const uint32_t action = *answer & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat(
                   "seccomp profile: it does not allow ", name, ", ", why));
}

}  // namespace

absl::Status CheckNeeds(absl::string_view program, bool no_new_privileges) {
  if (program.empty()) {
    return absl::OkStatus();
  }
  Filter filter(program.size() / sizeof(sock_filter));
  program.copy(reinterpret_cast<char*>(filter.data()),
               filter.size() * sizeof(sock_filter));
  RETURN_IF_ERROR(CheckCall(filter, "execve", SYS_execve,
                            "without which no program starts"));
  if (no_new_privileges) {
    return absl::OkStatus();
  }
  return CheckCall(filter, "capset", SYS_capset,
                   "which is needed before the program starts, unless "
                   "allowPrivilegeEscalation is false");
}

}  // namespace caisson::seccomp
