#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child.h"
#include "runtime/kernel/credentials.h"
#include "runtime/kernel/path.h"

namespace caisson::keeper::steps {
namespace {

constexpr int kCapabilityBits = 64;
// A map of 340 lines of 33 bytes is longer than any other file read here.
constexpr size_t kMaxMapBytes = 16384;

// What loading a filter takes without no_new_privileges (seccomp(2)).
constexpr uint64_t kFilterCapability = uint64_t{1} << CAP_SYS_ADMIN;

// Whether the process keeps a capability that its program will not have.
bool KeepsFilterCapability(const v1::Process& process) {
  return !process.seccomp_program().empty() && !process.no_new_privileges();
}

kernel::CapabilityState StateOf(const v1::Capabilities& wanted) {
  kernel::CapabilityState state;
  state.permitted = wanted.permitted();
  state.effective = wanted.effective();
  state.inheritable = wanted.inheritable();
  return state;
}

uint64_t ReadBounding() {
  uint64_t set = 0;
  for (int i = 0; i < kCapabilityBits; ++i) {
    if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) {
      set |= uint64_t{1} << i;
    }
  }
  return set;
}

uint64_t ReadAmbient() {
  uint64_t set = 0;
  for (int i = 0; i < kCapabilityBits; ++i) {
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) {
      set |= uint64_t{1} << i;
    }
  }
  return set;
}

absl::Status ReadCapabilities(v1::Capabilities& read) {
  __user_cap_header_struct header = {};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) {
    return ErrnoError("read", "capabilities");
  }
  const auto join = [](uint32_t low, uint32_t high) {
    return uint64_t{high} << 32 | low;
  };
  read.set_permitted(join(data[0].permitted, data[1].permitted));
  read.set_effective(join(data[0].effective, data[1].effective));
  read.set_inheritable(join(data[0].inheritable, data[1].inheritable));
  read.set_bounding(ReadBounding());
  read.set_ambient(ReadAmbient());
  return absl::OkStatus();
}

absl::Status ReadIds(v1::ReadBack& read) {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  gid_t real_group = 0;
  gid_t effective_group = 0;
  gid_t saved_group = 0;
  if (getresuid(&real, &effective, &saved) != 0 ||
      getresgid(&real_group, &effective_group, &saved_group) != 0) {
    return ErrnoError("read", "ids");
  }
  if (real != effective || real != saved || real_group != effective_group ||
      real_group != saved_group) {
    return absl::InternalError("read ids: real, effective and saved differ");
  }
  read.set_uid(real);
  read.set_gid(real_group);
  const int count = getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<size_t>(std::max(count, 0)));
  if (count < 0 || getgroups(count, groups.data()) != count) {
    return ErrnoError("read", "groups");
  }
  read.mutable_groups()->Assign(groups.begin(), groups.end());
  return absl::OkStatus();
}

// Lines of /proc/self/uid_map, read through the mount this process made.
absl::Status ReadMap(
    int proc, const char* name,
    google::protobuf::RepeatedPtrField<v1::IdExtent>& extents) {
  const std::string path = absl::StrCat("/self/", name);
  ASSIGN_OR_RETURN(UniqueFd file, kernel::OpenInRoot(proc, path, O_RDONLY));
  std::string text(kMaxMapBytes, '\0');
  const ssize_t length = read(file.get(), text.data(), text.size());
  if (length < 0) {
    return ErrnoError("read", path);
  }
  text.resize(static_cast<size_t>(length));
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, ' ', absl::SkipWhitespace());
    uint32_t numbers[3] = {};
    for (size_t i = 0; i < 3; ++i) {
      if (fields.size() != 3 || !absl::SimpleAtoi(fields[i], &numbers[i])) {
        return absl::InternalError(absl::StrCat("read ", path, ": malformed"));
      }
    }
    v1::IdExtent& extent = *extents.Add();
    extent.set_container_id(numbers[0]);
    extent.set_host_id(numbers[1]);
    extent.set_length(numbers[2]);
  }
  return absl::OkStatus();
}

absl::Status Differs(absl::string_view what) {
  return absl::InternalError(
      absl::StrCat("compare ", what, ": the kernel's differ from the plan's"));
}

bool SameCapabilities(const v1::Capabilities& a, const v1::Capabilities& b) {
  return a.permitted() == b.permitted() && a.effective() == b.effective() &&
         a.inheritable() == b.inheritable() && a.ambient() == b.ambient() &&
         a.bounding() == b.bounding();
}

bool SameGroups(const v1::Process& process, const v1::ReadBack& read) {
  std::vector<uint32_t> wanted(process.groups().begin(),
                               process.groups().end());
  std::vector<uint32_t> got(read.groups().begin(), read.groups().end());
  std::sort(wanted.begin(), wanted.end());
  std::sort(got.begin(), got.end());
  return wanted == got;
}

absl::Status CompareWithPlan(const v1::Process& process,
                             const v1::ReadBack& read) {
  if (read.uid() != process.uid() || read.gid() != process.gid()) {
    return Differs("ids");
  }
  if (!SameGroups(process, read)) {
    return Differs("groups");
  }
  if (!SameCapabilities(process.capabilities(), read.capabilities())) {
    return Differs("capabilities");
  }
  if (read.no_new_privileges() != process.no_new_privileges()) {
    return Differs("no_new_privileges");
  }
  return absl::OkStatus();
}

bool SameMaps(const google::protobuf::RepeatedPtrField<v1::IdExtent>& a,
              const google::protobuf::RepeatedPtrField<v1::IdExtent>& b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (int i = 0; i < a.size(); ++i) {
    if (a[i].container_id() != b[i].container_id() ||
        a[i].host_id() != b[i].host_id() || a[i].length() != b[i].length()) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::Status ReadIdMaps(ChildContext& context) {
  if (!context.pod.has_user_namespace()) {
    return absl::OkStatus();
  }
  v1::ReadBack& read = context.read_back;
  RETURN_IF_ERROR(ReadMap(context.proc.get(), "uid_map", *read.mutable_uids()));
  RETURN_IF_ERROR(ReadMap(context.proc.get(), "gid_map", *read.mutable_gids()));
  if (!SameMaps(read.uids(), context.pod.uids) ||
      !SameMaps(read.gids(), context.pod.gids)) {
    return Differs("id maps");
  }
  return absl::OkStatus();
}

absl::Status DropBoundingSet(ChildContext& context) {
  return kernel::LimitBoundingSet(context.process.capabilities().bounding());
}

absl::Status SwitchUser(ChildContext& context) {
  const v1::Process& process = context.process;
  const std::vector<gid_t> groups(process.groups().begin(),
                                  process.groups().end());
  return kernel::SetIdsKeepCapabilities(process.uid(), process.gid(), groups);
}

absl::Status SetCapabilities(ChildContext& context) {
  const v1::Capabilities& wanted = context.process.capabilities();
  kernel::CapabilityState state = StateOf(wanted);
  if (KeepsFilterCapability(context.process)) {
    state.permitted |= kFilterCapability;
  }
  RETURN_IF_ERROR(kernel::SetCapabilities(state));
  return kernel::SetAmbient(wanted.ambient());
}

absl::Status ForbidNewPrivileges(ChildContext& context) {
  if (context.process.no_new_privileges() &&
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoError("forbid", "new privileges");
  }
  return absl::OkStatus();
}

absl::Status ReadBack(ChildContext& context) {
  v1::ReadBack& read = context.read_back;
  RETURN_IF_ERROR(ReadIds(read));
  v1::Capabilities& capabilities = *read.mutable_capabilities();
  RETURN_IF_ERROR(ReadCapabilities(capabilities));
  if (KeepsFilterCapability(context.process)) {
    // LoadSeccomp() takes it away again, or there is no program.
    capabilities.set_permitted(
        capabilities.permitted() &
        (~kFilterCapability | context.process.capabilities().permitted()));
  }
  read.set_no_new_privileges(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  return CompareWithPlan(context.process, read);
}

absl::Status PrepareSeccomp(ChildContext& context) {
  const std::string& program = context.process.seccomp_program();
  if (program.size() % sizeof(sock_filter) != 0 ||
      program.size() / sizeof(sock_filter) > BPF_MAXINSNS) {
    return absl::InternalError("load seccomp filter: malformed program");
  }
  // A copy, for the bytes of a message are not aligned.
  context.filter.resize(program.size() / sizeof(sock_filter));
  program.copy(reinterpret_cast<char*>(context.filter.data()), program.size());
  return absl::OkStatus();
}

absl::Status LoadSeccomp(ChildContext& context) {
  if (context.filter.empty()) {
    return absl::OkStatus();
  }
  const bool keeps = KeepsFilterCapability(context.process);
  const kernel::CapabilityState last = StateOf(context.process.capabilities());
  if (keeps) {
    kernel::CapabilityState loading = last;
    loading.permitted |= kFilterCapability;
    loading.effective |= kFilterCapability;
    RETURN_IF_ERROR(Annotate(kernel::SetCapabilities(loading), "load-seccomp"));
  }
  sock_fprog program = {};
  program.len = static_cast<unsigned short>(context.filter.size());
  program.filter = context.filter.data();
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return Annotate(ErrnoError("load", "seccomp filter"), "load-seccomp");
  }
  return keeps ? Annotate(kernel::SetCapabilities(last), "load-seccomp")
               : absl::OkStatus();
}

}  // namespace caisson::keeper::steps
