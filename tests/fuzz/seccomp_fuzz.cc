#include <cstdint>

#include "runtime/seccomp/filter.h"
#include "tests/fuzz/check.h"

// A profile that is accepted becomes a program that the kernel would look at:
// whole instructions, and not too many.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto program =
      caisson::seccomp::CompileProfile(text, size % 2 == 0 ? 0 : ~uint64_t{0});
  if (program.ok()) {
    FUZZ_CHECK(!program->empty() && program->size() % 8 == 0);
    FUZZ_CHECK(program->size() / 8 <= 4096);
  }
  return 0;
}
