#include "runtime/seccomp/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/seccomp/condition.h"
#include "runtime/seccomp/prologue.h"

namespace caisson::seccomp {
namespace {

#if defined(__aarch64__)
constexpr uint32_t kCompatArch = SCMP_ARCH_ARM;
#else
constexpr uint32_t kCompatArch = SCMP_ARCH_X86;
#endif

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};

using Context = std::unique_ptr<void, Release>;

absl::Status Refuse(absl::string_view what, absl::string_view value) {
  return absl::InvalidArgumentError(
      absl::StrCat("seccomp profile: ", what, ": ", value));
}

absl::Status Failed(absl::string_view verb, absl::string_view object, int rc) {
  return absl::InternalError(
      absl::StrCat("seccomp: ", verb, " ", object, ": ", strerror(-rc)));
}

// Unsigned 64 bits; a negative number is its two's complement, as in C.
absl::StatusOr<uint64_t> GetNumber(const json::Value& object,
                                   absl::string_view key) {
  const json::Value* value = json::Find(object, key);
  if (value == nullptr || value->is_null()) {
    return uint64_t{0};
  }
  if (value->is_number_unsigned()) {
    return value->get<uint64_t>();
  }
  if (value->is_number_integer()) {
    return static_cast<uint64_t>(value->get<int64_t>());
  }
  return Refuse("not an integer", key);
}

absl::StatusOr<uint32_t> ReadErrno(const json::Value& object,
                                   absl::string_view key) {
  const json::Value* value = json::Find(object, key);
  if (value == nullptr || value->is_null()) {
    return uint32_t{EPERM};
  }
  ASSIGN_OR_RETURN(const uint64_t number, GetNumber(object, key));
  if (number > 4095) {
    return Refuse("not an errno", absl::StrCat(key, " ", number));
  }
  return static_cast<uint32_t>(number);
}

absl::StatusOr<uint32_t> ReadAction(const json::Value& object,
                                    absl::string_view action_key,
                                    absl::string_view errno_key) {
  ASSIGN_OR_RETURN(const std::string name, json::GetString(object, action_key));
  ASSIGN_OR_RETURN(const uint32_t number, ReadErrno(object, errno_key));
  const std::pair<absl::string_view, uint32_t> actions[] = {
      {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
      {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
      {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(number)},
      {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(number)},
      {"SCMP_ACT_LOG", SCMP_ACT_LOG},
      {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW}};
  for (const auto& [known, action] : actions) {
    if (name == known) {
      return action;
    }
  }
  if (name == "SCMP_ACT_NOTIFY") {
    return Refuse("not supported", name);
  }
  return Refuse("unknown action", name.empty() ? action_key : name);
}

absl::StatusOr<scmp_arg_cmp> ReadArgument(const json::Value& value) {
  ASSIGN_OR_RETURN(const uint64_t index, GetNumber(value, "index"));
  ASSIGN_OR_RETURN(const uint64_t first, GetNumber(value, "value"));
  ASSIGN_OR_RETURN(const uint64_t second, GetNumber(value, "valueTwo"));
  ASSIGN_OR_RETURN(const std::string name, json::GetString(value, "op"));
  if (index > 5) {
    return Refuse("no such argument", absl::StrCat(index));
  }
  const std::pair<absl::string_view, scmp_compare> operators[] = {
      {"SCMP_CMP_NE", SCMP_CMP_NE},
      {"SCMP_CMP_LT", SCMP_CMP_LT},
      {"SCMP_CMP_LE", SCMP_CMP_LE},
      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_GE", SCMP_CMP_GE},
      {"SCMP_CMP_GT", SCMP_CMP_GT},
      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  for (const auto& [known, op] : operators) {
    if (name == known) {
      return scmp_arg_cmp{static_cast<unsigned>(index), op, first, second};
    }
  }
  return Refuse("unknown operator", name);
}

// Groups of conditions of which one must hold.  Conditions hold together, but
// for several on one argument: then any of them is enough (OCI runtimes agree
// on that, the library has no other way).
using Alternatives = std::vector<std::vector<scmp_arg_cmp>>;

absl::StatusOr<Alternatives> ReadArguments(const json::Value& rule) {
  const json::Value* list = json::Find(rule, "args");
  if (list == nullptr || list->is_null()) {
    return Alternatives{{}};
  }
  if (!list->is_array()) {
    return Refuse("not a list", "args");
  }
  std::vector<scmp_arg_cmp> arguments;
  std::set<unsigned> seen;
  for (const json::Value& value : *list) {
    ASSIGN_OR_RETURN(const scmp_arg_cmp argument, ReadArgument(value));
    arguments.push_back(argument);
    seen.insert(argument.arg);
  }
  if (seen.size() == arguments.size()) {
    return Alternatives{arguments};
  }
  Alternatives alternatives;
  for (const scmp_arg_cmp& argument : arguments) {
    alternatives.push_back({argument});
  }
  return alternatives;
}

bool Denies(uint32_t action) {
  return action != SCMP_ACT_ALLOW && action != SCMP_ACT_LOG;
}

// The state of one compilation.
class Filter {
 public:
  absl::Status Build(const json::Value& profile, uint64_t capabilities);
  absl::StatusOr<std::string> Export() const;

 private:
  absl::Status AddArchitectures(const json::Value& profile);
  absl::Status AddArchitecture(const std::string& name);
  absl::Status AddRule(const json::Value& rule, const Machine& machine);
  absl::Status AddSyscall(const std::string& name, uint32_t action,
                          const Alternatives& alternatives);
  absl::Status AddUnknown(const std::string& name, uint32_t action,
                          const Alternatives& alternatives);
  void NoteNumber(const std::string& name);

  Context context_;
  uint32_t default_action_ = 0;
  int newest_ = 0;
  bool socket_by_argument_ = false;
  bool names_socketcall_ = false;
  Prologue prologue_;
};

absl::Status Filter::AddArchitecture(const std::string& name) {
  absl::string_view bare = name;
  std::string lower = absl::ConsumePrefix(&bare, "SCMP_ARCH_")
                          ? absl::AsciiStrToLower(bare)
                          : std::string();
  const uint32_t token = seccomp_arch_resolve_name(lower.c_str());
  if (lower.empty() || token == 0) {
    return Refuse("unknown architecture", name);
  }
  const int rc = seccomp_arch_add(context_.get(), token);
  // Another byte order: it can't run here, so there is nothing to filter.
  if (rc != 0 && rc != -EEXIST && rc != -EDOM) {
    return Failed("add architecture", name, rc);
  }
  return absl::OkStatus();
}

absl::Status Filter::AddArchitectures(const json::Value& profile) {
  ASSIGN_OR_RETURN(const auto names,
                   json::GetStrings(profile, "architectures"));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(AddArchitecture(name));
  }
  const json::Value* map = json::Find(profile, "archMap");
  if (map == nullptr || map->is_null()) {
    return absl::OkStatus();
  }
  if (!map->is_array()) {
    return Refuse("not a list", "archMap");
  }
  for (const json::Value& entry : *map) {
    ASSIGN_OR_RETURN(const std::string name,
                     json::GetString(entry, "architecture"));
    ASSIGN_OR_RETURN(const auto others,
                     json::GetStrings(entry, "subArchitectures"));
    const std::string lower =
        absl::AsciiStrToLower(absl::StripPrefix(name, "SCMP_ARCH_"));
    const uint32_t token = seccomp_arch_resolve_name(lower.c_str());
    if (token == 0) {
      return Refuse("unknown architecture", name);
    }
    for (const std::string& other : others) {
      if (token == seccomp_arch_native()) {
        RETURN_IF_ERROR(AddArchitecture(other));
      }
    }
  }
  return absl::OkStatus();
}

void Filter::NoteNumber(const std::string& name) {
  const int number = seccomp_syscall_resolve_name(name.c_str());
  newest_ = std::max({newest_, number, NewSyscallNumber(name)});
  names_socketcall_ = names_socketcall_ || name == "socketcall";
}

absl::Status Filter::AddUnknown(const std::string& name, uint32_t action,
                                const Alternatives& alternatives) {
  const int number = NewSyscallNumber(name);
  if (number >= 0 && alternatives.size() == 1 && alternatives[0].empty()) {
    prologue_.numbers[number] = action;
    return absl::OkStatus();
  }
  // Left to a default that denies, it is denied; left to one that allows, the
  // profile would be weaker than written (catalogue C2).
  return Denies(default_action_) ? absl::OkStatus()
                                 : Refuse("unknown syscall", name);
}

absl::Status Filter::AddSyscall(const std::string& name, uint32_t action,
                                const Alternatives& alternatives) {
  const int number = seccomp_syscall_resolve_name(name.c_str());
  // The library refuses rules that repeat the default.
  if (action == default_action_) {
    return absl::OkStatus();
  }
  if (number == __NR_SCMP_ERROR) {
    return AddUnknown(name, action, alternatives);
  }
  for (const auto& arguments : alternatives) {
    if (name == "socket" && !arguments.empty()) {
      socket_by_argument_ = true;
    }
    const int rc = seccomp_rule_add_array(
        context_.get(), action, number, static_cast<unsigned>(arguments.size()),
        arguments.data());
    // EEXIST: the same rule twice, from two groups of the profile.
    if (rc != 0 && rc != -EEXIST) {
      return Failed("add rule for", name, rc);
    }
  }
  return absl::OkStatus();
}

absl::Status Filter::AddRule(const json::Value& rule, const Machine& machine) {
  if (!rule.is_object()) {
    return Refuse("not a rule", json::Dump(rule).substr(0, 64));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> names,
                   json::GetStrings(rule, "names"));
  ASSIGN_OR_RETURN(const std::string single, json::GetString(rule, "name"));
  if (!single.empty()) {
    names.push_back(single);
  }
  ASSIGN_OR_RETURN(const uint32_t action,
                   ReadAction(rule, "action", "errnoRet"));
  ASSIGN_OR_RETURN(const Alternatives alternatives, ReadArguments(rule));
  ASSIGN_OR_RETURN(const bool applies, Applies(rule, machine));
  for (const std::string& name : names) {
    NoteNumber(name);
    if (applies) {
      RETURN_IF_ERROR(AddSyscall(name, action, alternatives));
    }
  }
  return absl::OkStatus();
}

absl::Status Filter::Build(const json::Value& profile, uint64_t capabilities) {
  if (!profile.is_object()) {
    return Refuse("not an object", "the text");
  }
  ASSIGN_OR_RETURN(default_action_,
                   ReadAction(profile, "defaultAction", "defaultErrnoRet"));
  ASSIGN_OR_RETURN(const std::string listener,
                   json::GetString(profile, "listenerPath"));
  if (!listener.empty()) {
    return Refuse("not supported", "listenerPath");
  }
  context_.reset(seccomp_init(default_action_));
  if (context_ == nullptr) {
    return absl::InternalError("seccomp: create a filter: failed");
  }
  // A binary tree: on loading, the kernel runs the program once for each
  // system call of each architecture, 1.2 ms for a linear one.
  int rc = seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (rc == 0 && Denies(default_action_)) {
    // Of an architecture that the profile does not name: what a kernel says
    // that was built without it, instead of death.
    rc = seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH,
                          SCMP_ACT_ERRNO(ENOSYS));
  }
  if (rc != 0) {
    return Failed("choose", "shape of the filter", rc);
  }
  RETURN_IF_ERROR(AddArchitectures(profile));
  const json::Value* rules = json::Find(profile, "syscalls");
  if (rules != nullptr && !rules->is_null() && !rules->is_array()) {
    return Refuse("not a list", "syscalls");
  }
  const Machine machine = ThisMachine(capabilities);
  if (rules != nullptr && rules->is_array()) {
    for (const json::Value& rule : *rules) {
      RETURN_IF_ERROR(AddRule(rule, machine));
    }
  }
  if (Denies(default_action_)) {
    prologue_.newest = newest_;
    prologue_.compat = seccomp_arch_exist(context_.get(), kCompatArch) == 0;
    prologue_.cut_socketcall = socket_by_argument_ && !names_socketcall_;
    prologue_.socketcall_action = default_action_;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Filter::Export() const {
  UniqueFd fd(memfd_create("seccomp", MFD_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("create", "memfd");
  }
  const int rc = seccomp_export_bpf(context_.get(), fd.get());
  if (rc != 0) {
    return Failed("export", "program", rc);
  }
  std::string program = MakePrologue(prologue_);
  char buffer[4096];
  for (off_t offset = 0;;) {
    const ssize_t n = pread(fd.get(), buffer, sizeof(buffer), offset);
    if (n < 0) {
      return ErrnoError("read", "memfd");
    }
    if (n == 0) {
      break;
    }
    program.append(buffer, static_cast<size_t>(n));
    offset += n;
  }
  // BPF_MAXINSNS instructions of 8 bytes are all the kernel takes.
  if (program.size() > size_t{4096} * 8) {
    return Refuse("too large",
                  absl::StrCat(program.size() / 8, " instructions"));
  }
  return program;
}

}  // namespace

absl::StatusOr<std::string> CompileProfile(absl::string_view profile,
                                           uint64_t capabilities) {
  ASSIGN_OR_RETURN(const json::Value parsed,
                   json::Parse(profile, "seccomp profile"));
  Filter filter;
  RETURN_IF_ERROR(filter.Build(parsed, capabilities));
  return filter.Export();
}

}  // namespace caisson::seccomp
