#pragma once

#include "tests/probe/json_writer.h"

namespace caisson::probe {

// Pushes input to each terminal in reach (ioctl_tty(2): TIOCSTI, TIOCLINUX):
// fds 0 to 2 and /dev/tty.  With the session, and of fd 0 the device and
// inode number.
void TryTerminal(JsonWriter& json);

}  // namespace caisson::probe
