#pragma once

#include "tests/probe/json_writer.h"

// What a hostile process would try.  Each writes one object with the errno of
// every call made; a call that succeeded says "OK" and is a finding where the
// runtime was to forbid it.
namespace caisson::probe {

// Takes flags from the mount at `path` in all known ways, last unmounts it.
// With the mount's flags before and after.
void TryRemount(JsonWriter& json, const char* path);

void TryWrite(JsonWriter& json, const char* path, const char* text);
// With the file's "text", without its last line feed, at most 64 KiB.
void TryRead(JsonWriter& json, const char* path);
// With "how": r, w or rw.  Never creates.
void TryOpen(JsonWriter& json, const char* path, const char* how);
// Whether execve(2) of it succeeds, in a child.
void TryExecute(JsonWriter& json, const char* path);
void TryStat(JsonWriter& json, const char* path);
void TryKill(JsonWriter& json, const char* pid, const char* signal);

// Makes and opens a character and a block device, and removes them.
void TryMknod(JsonWriter& json, const char* path);

// A user namespace of its own, in a child.
void TryUnshareUser(JsonWriter& json);

void TryKeyctl(JsonWriter& json);

// A socket of each type of the family: a name as "netlink", or a number.
void TrySocket(JsonWriter& json, const char* family);

}  // namespace caisson::probe
