#include "shim/ops/leases.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::ops {
namespace {

using identity::IdExtent;
using store::Lease;

bool Overlap(const Lease& a, const Lease& b) {
  return a.start < uint64_t{b.start} + b.length &&
         b.start < uint64_t{a.start} + a.length;
}

}  // namespace

void Leases::Load(const std::vector<store::Records::PodLease>& leases) {
  MutexLock lock(mutex_);
  for (const store::Records::PodLease& lease : leases) {
    taken_[lease.pod].push_back(lease.lease);
  }
}

absl::StatusOr<std::vector<Lease>> Leases::Choose(
    const plan::PodDecision& decision, state::v1::PodRecord& record) {
  std::vector<Lease> leases;
  if (decision.users == plan::UserNamespace::kGiven) {
    identity::IdMap(decision.given_uids).CopyTo(record.mutable_uids());
    identity::IdMap(decision.given_gids).CopyTo(record.mutable_gids());
    for (const IdExtent& extent : decision.given_uids) {
      leases.push_back({extent.host_id, extent.length});
    }
  }
  if (decision.users != plan::UserNamespace::kLeased) {
    return leases;
  }
  std::vector<IdExtent> used;
  for (const auto& [owner, ranges] : taken_) {
    for (const Lease& lease : ranges) {
      used.push_back({0, lease.start, lease.length});
    }
  }
  const auto take = [&]() -> absl::StatusOr<uint32_t> {
    ASSIGN_OR_RETURN(const uint32_t slot, identity::FindFreeSlot(pool_, used));
    const uint32_t start = pool_.Start(slot);
    used.push_back({0, start, identity::kSlotLength});
    leases.push_back({start, identity::kSlotLength});
    return start;
  };
  ASSIGN_OR_RETURN(const uint32_t start, take());
  uint32_t extra_start = 0;
  if (!decision.extra_ids.empty()) {
    ASSIGN_OR_RETURN(extra_start, take());
  }
  ASSIGN_OR_RETURN(const identity::IdMap map,
                   identity::MakeMap(start, decision.extra_ids, extra_start));
  map.CopyTo(record.mutable_uids());
  map.CopyTo(record.mutable_gids());
  return leases;
}

absl::Status Leases::CheckFree(const std::vector<Lease>& wanted) {
  for (const auto& [owner, ranges] : taken_) {
    for (const Lease& range : ranges) {
      for (const Lease& lease : wanted) {
        if (Overlap(range, lease)) {
          return absl::FailedPreconditionError(
              absl::StrCat("lease ids ", lease.start, "+", lease.length, ": ",
                           owner, " has some of them"));
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Leases::Take(const plan::PodDecision& decision,
                          state::v1::PodRecord& record) {
  // From the choice of a free range to its record nobody else may choose.
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(std::vector<Lease> leases, Choose(decision, record));
  RETURN_IF_ERROR(CheckFree(leases));
  absl::Status status = store_.AddPod(record, leases);
  if (absl::IsAlreadyExists(status)) {
    return absl::FailedPreconditionError(status.message());
  }
  if (status.ok() && !leases.empty()) {
    taken_[record.id()] = std::move(leases);
  }
  return status;
}

void Leases::Release(const std::string& pod_id) {
  MutexLock lock(mutex_);
  taken_.erase(pod_id);
}

void Leases::Block(const std::string& owner, std::vector<Lease> ranges) {
  MutexLock lock(mutex_);
  taken_[owner] = std::move(ranges);
}

}  // namespace caisson::ops
