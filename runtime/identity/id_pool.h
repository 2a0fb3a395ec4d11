#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/identity/id_map.h"

namespace caisson::identity {

// The host ids that pods may be given, in slots of 65536.  Which slots are
// taken is a matter of the store (one row a lease); this says what exists.
struct IdPool {
  uint32_t first = 268435456;
  uint32_t slots = 4096;

  // First host id of slot `index`.
  uint32_t Start(uint32_t index) const { return first + index * kSlotLength; }
};

// The pool of user `name` in `subuid_path` and `subgid_path` (subuid(5)): the
// range must be the same in both.  NotFound when neither names the user.
absl::StatusOr<IdPool> ReadPool(const std::string& subuid_path,
                                const std::string& subgid_path,
                                absl::string_view name);

// The lowest slot of `pool` that overlaps none of `used`; ResourceExhausted
// when all do.
absl::StatusOr<uint32_t> FindFreeSlot(const IdPool& pool,
                                      const std::vector<IdExtent>& used);

}  // namespace caisson::identity
