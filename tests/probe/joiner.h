#pragma once

#include <cstdint>

#include "tests/probe/json_writer.h"

// What a container's root would do to a process of the runtime that is about
// to join its namespaces (CVE-2016-9962, CVE-2019-5736, CVE-2024-21626).
namespace caisson::probe {

// All that /proc and ptrace(2) offer against one process, with its name
// before and after; "attempts" as always.
void TryJoiner(JsonWriter& json, const char* pid);

// For each line read from FIFO `in`, a process's number, writes what TryJoiner
// says as a line to FIFO `out`.  Ends with the input.
int AttackOnDemand(const char* in, const char* out);

// The errno of ptrace(PTRACE_SEIZE), 0 for success.
int SeizeError(int pid);

// spy.cc

// The file that is the root of the host.
struct HostRoot {
  uint64_t device = 0;
  uint64_t inode = 0;
};

// Until SIGTERM: attacks every process that bears the runtime's name, as soon
// as it is seen, and keeps every program of the runtime that it gets hold of,
// to write to it.  Then reports how far it came.
int Spy(const HostRoot& host);

}  // namespace caisson::probe
