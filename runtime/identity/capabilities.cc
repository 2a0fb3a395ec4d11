#include "runtime/identity/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"
#include "runtime/kernel/capability_names.h"

namespace caisson::identity {
namespace {

constexpr CapabilitySet Bit(int capability) {
  return CapabilitySet{1} << capability;
}

CapabilitySet ReadAllCapabilities() {
  int last = CAP_CHECKPOINT_RESTORE;
  int value = 0;
  const absl::StatusOr<std::string> text =
      ReadRegularFile("/proc/sys/kernel/cap_last_cap", 16);
  if (text.ok() && absl::SimpleAtoi(*text, &value) && value >= 0 &&
      value < 63) {
    last = value;
  }
  return Bit(last + 1) - 1;
}

CapabilitySet ReadBoundingSet() {
  CapabilitySet set = 0;
  for (int i = 0; i < 64; ++i) {
    if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) {
      set |= Bit(i);
    }
  }
  return set;
}

// A list of the request: single names, and whether "ALL" is among them.
struct NameList {
  bool all = false;
  CapabilitySet set = 0;
};

absl::StatusOr<NameList> ReadNames(const std::vector<std::string>& names) {
  NameList list;
  for (const std::string& name : names) {
    if (absl::EqualsIgnoreCase(name, "ALL") ||
        absl::EqualsIgnoreCase(name, "CAP_ALL")) {
      list.all = true;
      continue;
    }
    ASSIGN_OR_RETURN(const int capability, CapabilityFromName(name));
    list.set |= Bit(capability);
  }
  return list;
}

absl::Status CheckAvailable(CapabilitySet asked,
                            const CapabilityRequest& request) {
  if (CapabilitySet missing = asked & ~AllCapabilities(); missing != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "add capabilities ", absl::StrJoin(CapabilityNames(missing), ","),
        ": this kernel lacks them"));
  }
  if (CapabilitySet withheld = asked & ~request.available; withheld != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "add capabilities ", absl::StrJoin(CapabilityNames(withheld), ","),
        ": this machine withholds them from the daemon"));
  }
  if (CapabilitySet beyond = asked & ~request.ceiling; beyond != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "add capabilities ", absl::StrJoin(CapabilityNames(beyond), ","),
        ": beyond the ceiling of the handler ", request.ceiling_of));
  }
  return absl::OkStatus();
}

// What the bounding set is to be.
absl::StatusOr<CapabilitySet> ResolveBounding(const CapabilityRequest& request,
                                              CapabilitySet ambient) {
  ASSIGN_OR_RETURN(const NameList add, ReadNames(request.add));
  ASSIGN_OR_RETURN(const NameList drop, ReadNames(request.drop));
  const CapabilitySet all = AllCapabilities() & request.available;
  if (request.privileged) {
    RETURN_IF_ERROR(CheckAvailable(all, request));
    return all;
  }
  CapabilitySet asked = add.set | ambient;
  if (add.all) {
    asked |= all;
  }
  // What nobody asked for is cut silently, what somebody did is refused.
  RETURN_IF_ERROR(CheckAvailable(asked & ~drop.set, request));
  CapabilitySet set =
      DefaultCapabilities() & request.ceiling & request.available;
  if (add.all) {
    set = all;
  }
  if (drop.all) {
    set = 0;
  }
  set |= add.set | ambient;
  return set & ~drop.set;
}

}  // namespace

absl::StatusOr<int> CapabilityFromName(absl::string_view name) {
  const std::string upper = absl::AsciiStrToUpper(name);
  const absl::string_view bare = absl::StripPrefix(upper, "CAP_");
  if (const std::optional<int> found = kernel::FindCapability(bare)) {
    return *found;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("find capability \"", absl::CHexEscape(name.substr(0, 64)),
                   "\": unknown name"));
}

std::string CapabilityName(int capability) {
  const absl::string_view name = kernel::BareCapabilityName(capability);
  return name.empty() ? absl::StrCat("CAP_", capability)
                      : absl::StrCat("CAP_", name);
}

std::vector<std::string> CapabilityNames(CapabilitySet set) {
  std::vector<std::string> names;
  for (int i = 0; i < 64; ++i) {
    if ((set & Bit(i)) != 0) {
      names.push_back(CapabilityName(i));
    }
  }
  return names;
}

CapabilitySet DefaultCapabilities() {
  return Bit(CAP_CHOWN) | Bit(CAP_DAC_OVERRIDE) | Bit(CAP_FSETID) |
         Bit(CAP_FOWNER) | Bit(CAP_SETGID) | Bit(CAP_SETUID) |
         Bit(CAP_SETPCAP) | Bit(CAP_NET_BIND_SERVICE) | Bit(CAP_KILL);
}

CapabilitySet AllCapabilities() {
  static const CapabilitySet all = ReadAllCapabilities();
  return all;
}

CapabilitySet HeldCapabilities() {
  static const CapabilitySet held = ReadBoundingSet();
  return held;
}

absl::StatusOr<CapabilitySets> ResolveCapabilities(
    const CapabilityRequest& request, uint32_t uid) {
  ASSIGN_OR_RETURN(const NameList ambient, ReadNames(request.add_ambient));
  CapabilitySet raised = ambient.set;
  if (ambient.all) {
    raised |= AllCapabilities() & request.available;
  }
  CapabilitySets sets;
  ASSIGN_OR_RETURN(sets.bounding, ResolveBounding(request, raised));
  sets.ambient = raised & sets.bounding;
  // Only what ambient needs: a file's inheritable set must not become
  // effective by itself (CVE-2022-29162).
  sets.inheritable = sets.ambient;
  sets.permitted = uid == 0 ? sets.bounding : sets.ambient;
  sets.effective = sets.permitted;
  return sets;
}

}  // namespace caisson::identity
