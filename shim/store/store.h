#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/state/v1/state.pb.h"
#include "runtime/base/mutex.h"
#include "runtime/base/sqlite.h"

namespace caisson::store {

// A lease of host ids: one row, made with the pod's record.
struct Lease {
  uint32_t start = 0;
  uint32_t length = 0;
};

// All that is known at the start of the daemon.
struct Records {
  std::vector<state::v1::PodRecord> pods;
  // Also those of a damaged pod: what is left of them is to be stopped and
  // removed.
  std::vector<state::v1::ContainerRecord> containers;

  // Of all pods, damaged ones too: those ids may still be in use.
  struct PodLease {
    std::string pod;
    Lease lease;
  };

  std::vector<PodLease> leases;
  // Ids of records that can't be read, from this start or an earlier one,
  // until ForgetDamaged().
  std::vector<std::string> damaged_pods;
  std::vector<std::string> damaged_containers;
  // Path of the damaged file that this one takes the place of, from this start
  // or an earlier one, until ForgetSetAside(); empty: there is none.  There may
  // be pods then of which nothing is known here, not even their leases.
  std::string set_aside;
};

// pods.db: records of pods and containers (SQLite, WAL, synchronous=NORMAL: a
// power cut may lose the last ones, and nothing waits for the disk).  What is
// read is read once, at the start; the daemon answers from memory.
// Thread-safe.
class Store {
 public:
  // Opens or makes the database.  A file that isn't a sound one is set aside
  // with a log line, and a new one made: the daemon always comes up.  But
  // FailedPrecondition for a file of a newer caissond, which is left alone.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // All there is, in one read.  A record that cannot be read is moved to the
  // table "damaged" and logged.
  absl::StatusOr<Records> Load();
  // After nothing is left on the node of the damaged pod or container `id`:
  // its leases are free.  The bytes of its record stay in the table.  OK also
  // for an id that is not damaged; a good pod keeps its leases.
  absl::Status ForgetDamaged(const std::string& id);
  // After nothing is left of the pods of a file that was set aside.
  absl::Status ForgetSetAside();

  // A new pod with its leases, in one transaction.  AlreadyExists when a
  // lease overlaps another pod's, or a pod has that id.
  absl::Status AddPod(const state::v1::PodRecord& record,
                      const std::vector<Lease>& leases);
  // NotFound when there is no such pod.
  absl::Status UpdatePod(const state::v1::PodRecord& record);
  // The record and its leases; OK when there are none.
  absl::Status RemovePod(const std::string& id);
  absl::StatusOr<std::vector<Lease>> Leases();

  // A new record, or in place of the one with that id.
  absl::Status PutContainer(const state::v1::ContainerRecord& record);
  // OK when there is none.
  absl::Status RemoveContainer(const std::string& id);

 private:
  explicit Store(std::unique_ptr<sqlite::Database> database)
      : database_(std::move(database)) {}

  // Does `sql` with the parameters ?1, and ?2 unless empty; how many rows it
  // has changed.
  absl::StatusOr<int> Change(absl::string_view sql, absl::string_view id,
                             absl::string_view record = {})
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddLease(const std::string& pod, const Lease& lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status NoteSetAside() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  template <typename Record>
  absl::Status LoadTable(absl::string_view table, std::vector<Record>& records,
                         std::vector<std::string>& damaged)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MoveDamaged(absl::string_view table, const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<std::string>> Ids(absl::string_view sql)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<Records::PodLease>> LoadLeases()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  const std::unique_ptr<sqlite::Database> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace caisson::store
