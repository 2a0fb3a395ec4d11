#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "runtime/network/cni.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"
#include "shim/recover/difference.h"
#include "shim/store/store.h"

namespace caisson::recover {

// Looks at all that an earlier daemon may have left.  What can't be read is
// logged and counts as not there: it is found by the next start.  An error
// only when the records can't be read at all.  `fork_server`: the pid that is
// among the keepers but none.
absl::StatusOr<Inventory> TakeInventory(const ops::Node& node,
                                        const ops::Paths& paths,
                                        store::Store& store, network::Cni& cni,
                                        int fork_server);

}  // namespace caisson::recover
