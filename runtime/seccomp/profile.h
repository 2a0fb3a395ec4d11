#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::seccomp {

// Compiles profiles in the OCI/Docker JSON form (defaultAction, archMap,
// syscalls with names, action, args, errnoRet, includes.caps, excludes.caps,
// includes.minKernel) to BPF, and keeps the results: one compilation a
// profile and capability set.  Any thread.
class Compiler {
 public:
  virtual ~Compiler() = default;
  static std::unique_ptr<Compiler> Create();

  // `profile` is the JSON text; `capabilities` (bit N: capability N) selects
  // the rules that depend on them.  Returns struct sock_filter[] as bytes.
  // InvalidArgument: not a profile, an unknown action or architecture, or
  // SCMP_ACT_NOTIFY.  Unknown syscall names are skipped where the default
  // action denies, an error elsewhere (catalogue C2).
  virtual absl::StatusOr<std::string> Compile(absl::string_view profile,
                                              uint64_t capabilities) = 0;
};

// The RuntimeDefault profile (deploy/seccomp/default.json), compiled into the
// program so that no installed file can be missing.
absl::string_view DefaultProfile();

}  // namespace caisson::seccomp
