#include "shim/config/config.h"

#include <cstdio>

#include "shim/ctl/commands.h"

namespace caisson::ctl {

absl::StatusOr<int> ConfigDefault() {
  std::fputs(config::DefaultToml().c_str(), stdout);
  return 0;
}

}  // namespace caisson::ctl
