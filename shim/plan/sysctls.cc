#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"
#include "shim/plan/pod.h"

namespace caisson::plan {
namespace {

constexpr char kField[] = "config.linux.sysctls";
constexpr size_t kMaxValue = 4096;
constexpr size_t kMaxName = 255;
constexpr char kPingGroups[] = "net.ipv4.ping_group_range";
// Nobody's, as the kernel has it in a new network namespace.
constexpr char kNoGroups[] = "1 0";

// As sysctl(8) and the kubelet read a name: whichever of "." and "/" comes
// first separates, and the other one stands for a dot in a name where "." is
// the separator.  The parts are names below /proc/sys.
absl::StatusOr<std::vector<std::string>> Split(absl::string_view key) {
  RETURN_IF_ERROR(CheckText(kField, key, kMaxName, false));
  for (const char c : key) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains("._-/", c)) {
      return Refuse(kField, key, "is not a sysctl's name");
    }
  }
  const size_t first = key.find_first_of("./");
  const bool dots = first != absl::string_view::npos && key[first] == '.';
  std::vector<std::string> parts = absl::StrSplit(key, dots ? '.' : '/');
  for (std::string& part : parts) {
    std::replace(part.begin(), part.end(), '/', '.');
    // It becomes a path.
    if (part.empty() || part == "." || part == "..") {
      return Refuse(kField, key, "does not belong to a namespace of the pod");
    }
  }
  return parts;
}

// With dots, as the keeper takes it; with slashes where a part has a dot.
std::string Join(const std::vector<std::string>& parts) {
  const bool has_dot = std::any_of(
      parts.begin(), parts.end(),
      [](const std::string& part) { return absl::StrContains(part, '.'); });
  return absl::StrJoin(parts, has_dot ? "/" : ".");
}

bool IsIpc(absl::string_view name) {
  return absl::StartsWith(name, "kernel.shm") ||
         absl::StartsWith(name, "kernel.msg") || name == "kernel.sem" ||
         absl::StartsWith(name, "fs.mqueue.");
}

// net.ipv4.conf.eth0.forwarding, net.ipv6.neigh.eth0.gc_stale_time,
// net.mpls.conf.eth0.input: the kernel makes them with the interface.
bool NamesInterface(const std::vector<std::string>& parts) {
  if (parts.size() < 5 || parts[0] != "net" ||
      (parts[2] != "conf" && parts[2] != "neigh")) {
    return false;
  }
  return parts[3] != "all" && parts[3] != "default" && parts[3] != "lo";
}

bool IsMapped(uint64_t group, const PodDecision& decision) {
  return std::any_of(decision.extra_ids.begin(), decision.extra_ids.end(),
                     [&](uint32_t id) { return id == group; });
}

// The kernel takes only groups that the writer's user namespace has
// (EINVAL, net/ipv4/sysctl_net_ipv4.c), and a pod written for a node without
// one says "0 2147483647": all.  What is no range of two numbers is left to
// the kernel to refuse.
std::string CutToPod(const std::string& value, const PodDecision& decision) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(value, ' ', absl::SkipEmpty());
  uint64_t low = 0;
  uint64_t high = 0;
  if (decision.users == UserNamespace::kHost || words.size() != 2 ||
      !absl::SimpleAtoi(words[0], &low) || !absl::SimpleAtoi(words[1], &high)) {
    return value;
  }
  const uint64_t length = decision.users == UserNamespace::kGiven
                              ? decision.given_gids.front().length
                              : identity::kSlotLength;
  const bool is_single_extra = low == high && IsMapped(low, decision);
  if (high < length || low > high || is_single_extra) {
    return value;
  }
  return low >= length ? kNoGroups : absl::StrCat(low, " ", length - 1);
}

}  // namespace

absl::Status AddSysctls(const runtime::v1::LinuxPodSandboxConfig& config,
                        PodDecision& decision) {
  for (const auto& [key, text] : config.sysctls()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> parts, Split(key));
    RETURN_IF_ERROR(
        CheckText(absl::StrCat(kField, "[", key, "]"), text, kMaxValue, false));
    const bool later = NamesInterface(parts);
    const std::string name = Join(parts);
    const bool allowed = (parts[0] == "net" && parts.size() > 1 &&
                          decision.plan.own_network()) ||
                         (IsIpc(name) && decision.plan.own_ipc());
    if (!allowed) {
      return Refuse(kField, key, "does not belong to a namespace of the pod");
    }
    const std::string value =
        name == kPingGroups ? CutToPod(text, decision) : text;
    if (later) {
      decision.network_sysctls[name] = value;
    } else {
      (*decision.plan.mutable_sysctls())[name] = value;
    }
  }
  return absl::OkStatus();
}

}  // namespace caisson::plan
