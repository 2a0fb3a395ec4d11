#pragma once

#include "tests/probe/json_writer.h"

namespace caisson::probe {

// Everything the kernel says about this process, as one object.  A file of
// /proc that can't be read is null.
void Report(JsonWriter& json);

// The mount table and the mount namespace's view, as the value of "mounts".
void ReportMounts(JsonWriter& json);

// errno as {"errno": "EPERM", "number": 1}; 0 has the name "OK".
void ReportErrno(JsonWriter& json, int error);

}  // namespace caisson::probe
