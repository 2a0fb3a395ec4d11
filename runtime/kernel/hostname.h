#pragma once

#include <string>

namespace caisson::kernel {

// The name of the UTS namespace this process is in (uname(2)); the node's in
// the daemon.  Read anew each time, for it may change.  Any thread.
std::string Hostname();

}  // namespace caisson::kernel
