#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/state/v1/state.pb.h"
#include "shim/store/statement.h"

namespace caisson::store {

// A lease of host ids: one row, made with the pod's record.
struct Lease {
  uint32_t start = 0;
  uint32_t length = 0;
};

struct Records {
  std::vector<state::v1::PodRecord> pods;
  std::vector<state::v1::ContainerRecord> containers;
};

// pods.db: records of pods and containers (SQLite, WAL, synchronous=NORMAL: a
// power cut may lose the last ones, and nothing waits for the disk).  What is
// read is read once, at the start; the daemon answers from memory.
// Thread-safe.
class Store {
 public:
  // Opens or makes the database.  A file that isn't a sound one is set aside
  // with a log line, and a new one made: the daemon always comes up.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  // All good records.  One that cannot be read is moved to the table
  // "damaged" and logged.
  absl::StatusOr<Records> Load();

  // A new pod with its leases, in one transaction.  AlreadyExists when a
  // lease overlaps another pod's.
  absl::Status AddPod(const state::v1::PodRecord& record,
                      const std::vector<Lease>& leases);
  absl::Status UpdatePod(const state::v1::PodRecord& record);
  // The record and its leases.
  absl::Status RemovePod(const std::string& id);
  absl::StatusOr<std::vector<Lease>> Leases();

  absl::Status PutContainer(const state::v1::ContainerRecord& record);
  absl::Status RemoveContainer(const std::string& id);

 private:
  explicit Store(sqlite3* database) : database_(database) {}

  static absl::StatusOr<std::unique_ptr<Store>> OpenFile(
      const std::string& path);
  // Statements without parameters, separated by semicolons.
  absl::Status Execute(const char* sql);
  // Of `sql`, prepared once.
  absl::StatusOr<Statement*> Prepared(const char* sql);
  absl::Status Run(const char* sql);
  absl::Status Put(const char* sql, const std::string& id,
                   const std::string& record);
  absl::Status Remove(const char* sql, const std::string& id);
  absl::Status AddLease(const std::string& pod, const Lease& lease);
  template <typename Record>
  absl::Status LoadTable(const char* table, std::vector<Record>& records);

  std::mutex mutex_;
  sqlite3* database_;
  std::map<std::string, Statement> statements_;
};

}  // namespace caisson::store
