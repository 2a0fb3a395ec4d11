#pragma once

#include "tests/probe/json_writer.h"

namespace caisson::probe {

// System calls by number, each in a child of its own, on one of three ABIs:
// x86-64, i386 (int $0x80) and x32.  A specification is NUMBER[:ARGUMENT...];
// an argument is a number, or @TEXT: the address of that text below 4 GiB.
// One attempt a specification; what kills shows as the signal, negative.
void TryCalls(JsonWriter& json, const char* abi, char** specifications,
              int count);

// socket(2) of each family of 0..46 as a datagram socket, on one ABI or by
// "socketcall", the i386 call that keeps its arguments in memory.
void TryFamilies(JsonWriter& json, const char* abi);

// Opens each file for writing and writes back what was read from it.
void TryRewrites(JsonWriter& json, char** paths, int count);

}  // namespace caisson::probe
