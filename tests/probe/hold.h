#pragma once

#include <cstdint>
#include <string_view>

namespace caisson::probe {

// Takes what the kernel counts by its user until there is no more or there is
// `most`, says how much that is, and keeps it until SIGTERM.  `kind`: inotify
// (instances), watches, or namespaces by name: user, mnt, net.  Returns the
// program's exit code.
int Hold(std::string_view kind, uint64_t most);

}  // namespace caisson::probe
