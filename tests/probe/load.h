#pragma once

#include <cstdint>

// What a workload does, for tests of life cycle, logs and limits.  Each
// returns the program's exit code.
namespace caisson::probe {

// Returns at SIGTERM or SIGINT, also as a PID 1.
int Sleep();

// Standard input to standard output, until its end.
int Echo();

// `count` lines of `size` bytes with their newline, in large writes.
int PrintLines(uint64_t count, uint64_t size);

// Touches every page of `bytes` bytes; `hold`: until SIGTERM.
int Allocate(uint64_t bytes, bool hold);

}  // namespace caisson::probe
