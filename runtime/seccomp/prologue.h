#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace caisson::seccomp {

// What the filter library can't say, checked before its program.
struct Prologue {
  // Numbers too new for the library -> seccomp return value.
  std::map<int, uint32_t> numbers;
  // Above this number the answer is ENOSYS, so that libc falls back instead
  // of taking EPERM for the last word.  0: no such rule.
  int newest = 0;
  // Whether both hold for the machine's 32-bit calls too: the profile names
  // their architecture.
  bool compat = false;
  // 32-bit x86 hides the arguments of socket(2) behind a pointer; the library
  // answers by allowing every family.  The return value for it, if `cut`.
  bool cut_socketcall = false;
  uint32_t socketcall_action = 0;
};

// sock_filter[] as bytes, to be put in front of a program.
std::string MakePrologue(const Prologue& prologue);

// The number of a syscall that this libseccomp doesn't know yet; -1 if unknown
// here too.  Newer ones have one number on every architecture.
int NewSyscallNumber(const std::string& name);

}  // namespace caisson::seccomp
