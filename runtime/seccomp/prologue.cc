#include "runtime/seccomp/prologue.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace caisson::seccomp {
namespace {

#if defined(__aarch64__)
constexpr uint32_t kNativeArch = AUDIT_ARCH_AARCH64;
constexpr uint32_t kCompatArch = AUDIT_ARCH_ARM;
#else
constexpr uint32_t kNativeArch = AUDIT_ARCH_X86_64;
constexpr uint32_t kCompatArch = AUDIT_ARCH_I386;
#endif
constexpr uint32_t kSocketcall = 102;
// Private numbers of arm and the x32 flag lie above.
constexpr uint32_t kPlainNumbersEnd = 0x0f0000;

using Program = std::vector<sock_filter>;

void Load(Program& program, size_t offset) {
  program.push_back(
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
}

// Runs the next `count` instructions only where A == value.
void Unless(Program& program, uint32_t value, size_t count) {
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0,
                             static_cast<uint8_t>(count)));
}

void Return(Program& program, uint32_t action) {
  program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
}

// The smallest number that the rules below have something to say about.
uint32_t FirstNumber(const Prologue& prologue) {
  const uint32_t beyond = prologue.newest > 0
                              ? static_cast<uint32_t>(prologue.newest) + 1
                              : kPlainNumbersEnd;
  return prologue.numbers.empty()
             ? beyond
             : std::min(beyond,
                        static_cast<uint32_t>(prologue.numbers.begin()->first));
}

void AddNumbers(const Prologue& prologue, Program& program) {
  if (prologue.numbers.empty() && prologue.newest == 0) {
    return;
  }
  Program body;
  for (const auto& [number, action] : prologue.numbers) {
    Unless(body, static_cast<uint32_t>(number), 1);
    Return(body, action);
  }
  if (prologue.newest > 0) {
    body.push_back(BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K,
                            static_cast<uint32_t>(prologue.newest), 0, 1));
    Return(body, SECCOMP_RET_ERRNO | ENOSYS);
  }
  const auto length = static_cast<uint8_t>(body.size());
  Load(program, offsetof(seccomp_data, arch));
  if (prologue.compat) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kCompatArch, 1, 0));
  }
  Unless(program, kNativeArch, body.size() + 3);
  Load(program, offsetof(seccomp_data, nr));
  // Nearly all calls are over with this one comparison.
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FirstNumber(prologue),
                             0, static_cast<uint8_t>(length + 1)));
  program.push_back(
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kPlainNumbersEnd, length, 0));
  program.insert(program.end(), body.begin(), body.end());
}

}  // namespace

std::string MakePrologue(const Prologue& prologue) {
  Program program;
  AddNumbers(prologue, program);
  if (prologue.cut_socketcall) {
    Load(program, offsetof(seccomp_data, arch));
    Unless(program, AUDIT_ARCH_I386, 3);
    Load(program, offsetof(seccomp_data, nr));
    Unless(program, kSocketcall, 1);
    Return(program, prologue.socketcall_action);
  }
  return std::string(reinterpret_cast<const char*>(program.data()),
                     program.size() * sizeof(sock_filter));
}

int NewSyscallNumber(const std::string& name) {
  static const std::map<std::string, int> numbers = {
      {"cachestat", 451},         {"fchmodat2", 452},
      {"map_shadow_stack", 453},  {"futex_wake", 454},
      {"futex_wait", 455},        {"futex_requeue", 456},
      {"statmount", 457},         {"listmount", 458},
      {"lsm_get_self_attr", 459}, {"lsm_set_self_attr", 460},
      {"lsm_list_modules", 461},  {"mseal", 462},
      {"setxattrat", 463},        {"getxattrat", 464},
      {"listxattrat", 465},       {"removexattrat", 466},
      {"open_tree_attr", 467},    {"file_getattr", 468},
      {"file_setattr", 469}};
  const auto found = numbers.find(name);
  return found == numbers.end() ? -1 : found->second;
}

}  // namespace caisson::seccomp
