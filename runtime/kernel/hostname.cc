#include "runtime/kernel/hostname.h"

#include <sys/utsname.h>

namespace caisson::kernel {

std::string Hostname() {
  utsname names = {};
  // It fails for a bad address only.
  return uname(&names) == 0 ? names.nodename : "";
}

}  // namespace caisson::kernel
