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

// Forks until it may not any more, `count` times at most, and says how many
// there are; they stay until SIGTERM.
int Swarm(uint64_t count);

// Forks for ever, as do its children.
int Bomb();

}  // namespace caisson::probe
