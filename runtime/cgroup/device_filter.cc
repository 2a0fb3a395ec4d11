#include "runtime/cgroup/device_filter.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::cgroup {
namespace {

// Registers: what is asked, taken apart.
constexpr uint8_t kContext = BPF_REG_1;
constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kAccess = BPF_REG_3;
constexpr uint8_t kMajor = BPF_REG_4;
constexpr uint8_t kMinor = BPF_REG_5;
constexpr uint8_t kScratch = BPF_REG_6;

using Program = std::vector<bpf_insn>;

bpf_insn Instruction(uint8_t code, uint8_t to, uint8_t from, int16_t offset,
                     int32_t value) {
  bpf_insn it = {};
  it.code = code;
  it.dst_reg = to & 0xf;
  it.src_reg = from & 0xf;
  it.off = offset;
  it.imm = value;
  return it;
}

bpf_insn Load(uint8_t to, size_t offset) {
  return Instruction(BPF_LDX | BPF_W | BPF_MEM, to, kContext,
                     static_cast<int16_t>(offset), 0);
}

bpf_insn Compute(uint8_t operation, uint8_t to, int32_t value) {
  return Instruction(BPF_ALU | operation | BPF_K, to, 0, 0, value);
}

bpf_insn Copy(uint8_t to, uint8_t from) {
  return Instruction(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0);
}

bpf_insn JumpUnlessEqual(uint8_t left, uint32_t value) {
  return Instruction(BPF_JMP32 | BPF_JNE | BPF_K, left, 0, 0,
                     static_cast<int32_t>(value));
}

void Answer(bool allowed, Program& program) {
  program.push_back(Compute(BPF_MOV, BPF_REG_0, allowed ? 1 : 0));
  program.push_back(Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

void AppendRule(const DeviceRule& rule, Program& program) {
  std::vector<size_t> jumps;
  const auto unless_equal = [&](uint8_t left, uint32_t value) {
    jumps.push_back(program.size());
    program.push_back(JumpUnlessEqual(left, value));
  };
  unless_equal(kType, rule.block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  if (rule.major.has_value()) {
    unless_equal(kMajor, *rule.major);
  }
  if (rule.minor.has_value()) {
    unless_equal(kMinor, *rule.minor);
  }
  // Nothing may be asked beyond what is allowed.
  const int allowed = (rule.read ? BPF_DEVCG_ACC_READ : 0) |
                      (rule.write ? BPF_DEVCG_ACC_WRITE : 0) |
                      (rule.make ? BPF_DEVCG_ACC_MKNOD : 0);
  program.push_back(Copy(kScratch, kAccess));
  program.push_back(Compute(BPF_AND, kScratch, ~allowed & 0xffff));
  unless_equal(kScratch, 0);
  Answer(true, program);
  for (const size_t jump : jumps) {
    program[jump].off = static_cast<int16_t>(program.size() - jump - 1);
  }
}

Program Assemble(const std::vector<DeviceRule>& rules) {
  Program program;
  program.push_back(Load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)));
  program.push_back(Copy(kAccess, kType));
  program.push_back(Compute(BPF_AND, kType, 0xffff));
  program.push_back(Compute(BPF_RSH, kAccess, 16));
  program.push_back(Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)));
  program.push_back(Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)));
  for (const DeviceRule& rule : rules) {
    AppendRule(rule, program);
  }
  Answer(false, program);
  return program;
}

DeviceRule Whole(uint32_t major, std::optional<uint32_t> minor) {
  return {false, major, minor, true, true, true};
}

}  // namespace

const std::vector<DeviceRule>& StandardDeviceRules() {
  static const auto& rules = *new std::vector<DeviceRule>{
      Whole(1, 3),               // null
      Whole(1, 5),               // zero
      Whole(1, 7),               // full
      Whole(1, 8),               // random
      Whole(1, 9),               // urandom
      Whole(5, 0),               // tty
      Whole(5, 2),               // ptmx
      Whole(136, std::nullopt),  // pts
      // tun: a VPN's volume names it, nobody can name a device to the kubelet.
      // What can be done with it takes CAP_NET_ADMIN in the pod's network.
      Whole(10, 200),
      {false, std::nullopt, std::nullopt, false, false, true},
      {true, std::nullopt, std::nullopt, false, false, true},
  };
  return rules;
}

absl::StatusOr<UniqueFd> LoadDeviceFilter(
    const std::vector<DeviceRule>& rules) {
  const Program program = Assemble(rules);
  const char license[] = "Apache-2.0";
  bpf_attr attributes = {};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<uintptr_t>(program.data());
  attributes.insn_cnt = static_cast<uint32_t>(program.size());
  attributes.license = reinterpret_cast<uintptr_t>(license);
  UniqueFd fd(static_cast<int>(
      syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes))));
  if (!fd.ok()) {
    // EINVAL: a kernel without this type of program.
    return errno == EINVAL || errno == ENOSYS
               ? absl::UnimplementedError(
                     "load device filter: this kernel has no CGROUP_BPF")
               : ErrnoError("load", "device filter");
  }
  return fd;
}

absl::Status AttachDeviceFilter(const Cgroup& cgroup, int program) {
  ASSIGN_OR_RETURN(const UniqueFd directory, cgroup.OpenUnified());
  bpf_attr attributes = {};
  attributes.target_fd = static_cast<uint32_t>(directory.get());
  attributes.attach_bpf_fd = static_cast<uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof(attributes)) != 0) {
    return ErrnoError("attach device filter to", cgroup.path());
  }
  return absl::OkStatus();
}

}  // namespace caisson::cgroup
