#include "shim/store/store.h"

#include <sqlite3.h>

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "shim/store/statement.h"

namespace caisson::store {
namespace {

// Exclusive: nobody else has business here while we run, and each change
// spares its locks and the index in shared memory.
constexpr char kSchema[] =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=NORMAL;"
    "PRAGMA cache_size=-512;"
    "CREATE TABLE IF NOT EXISTS pods(id TEXT PRIMARY KEY, record BLOB);"
    "CREATE TABLE IF NOT EXISTS containers(id TEXT PRIMARY KEY, record BLOB);"
    "CREATE TABLE IF NOT EXISTS leases(start INTEGER PRIMARY KEY,"
    " length INTEGER, pod TEXT);"
    "CREATE TABLE IF NOT EXISTS damaged(kind TEXT, id TEXT, record BLOB);";

// A prepared statement in use; ready for the next use afterwards.
class Use {
 public:
  explicit Use(Statement* statement) : statement_(statement) {}

  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  ~Use() { statement_->Reset(); }

  Statement* operator->() const { return statement_; }

 private:
  Statement* statement_;
};

absl::Status CheckSoundness(sqlite3* database) {
  ASSIGN_OR_RETURN(Statement check,
                   Statement::Prepare(database, "PRAGMA quick_check(1)"));
  ASSIGN_OR_RETURN(const bool row, check.Step());
  if (const std::string said = row ? check.Bytes(0) : ""; said != "ok") {
    return absl::DataLossError(absl::StrCat("check records: ", said));
  }
  return absl::OkStatus();
}

absl::Status SetFileAside(const std::string& path) {
  const std::string aside = absl::StrCat(path, ".damaged-", NowNanos());
  if (rename(path.c_str(), aside.c_str()) != 0) {
    return ErrnoError("set aside", path);
  }
  // The log of a damaged file must not be replayed into the new one.
  for (const char* suffix : {"-wal", "-shm"}) {
    rename((path + suffix).c_str(), (aside + suffix).c_str());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Store>> store = OpenFile(path);
  if (!absl::IsDataLoss(store.status())) {
    return store;
  }
  LogError(absl::StrCat(store.status().message(), "; set aside"));
  RETURN_IF_ERROR(SetFileAside(path));
  return OpenFile(path);
}

absl::StatusOr<std::unique_ptr<Store>> Store::OpenFile(
    const std::string& path) {
  sqlite3* database = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &database,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  std::unique_ptr<Store> store(new Store(database));
  if (opened != SQLITE_OK) {
    return DatabaseError(database, absl::StrCat("open ", path));
  }
  RETURN_IF_ERROR(Annotate(CheckSoundness(database), path));
  RETURN_IF_ERROR(Annotate(store->Execute(kSchema), path));
  return store;
}

Store::~Store() {
  statements_.clear();
  sqlite3_close(database_);
}

absl::Status Store::Execute(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return DatabaseError(database_, "change database");
  }
  return absl::OkStatus();
}

absl::StatusOr<Statement*> Store::Prepared(const char* sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end()) {
    return &found->second;
  }
  ASSIGN_OR_RETURN(Statement statement, Statement::Prepare(database_, sql));
  return &statements_.emplace(sql, std::move(statement)).first->second;
}

absl::Status Store::Run(const char* sql) {
  ASSIGN_OR_RETURN(Statement * prepared, Prepared(sql));
  const Use statement(prepared);
  return statement->Step().status();
}

absl::Status Store::Put(const char* sql, const std::string& id,
                        const std::string& record) {
  ASSIGN_OR_RETURN(Statement * prepared, Prepared(sql));
  const Use statement(prepared);
  statement->BindText(1, id);
  statement->BindBlob(2, record);
  return statement->Step().status();
}

absl::Status Store::Remove(const char* sql, const std::string& id) {
  ASSIGN_OR_RETURN(Statement * prepared, Prepared(sql));
  const Use statement(prepared);
  statement->BindText(1, id);
  return statement->Step().status();
}

absl::Status Store::AddLease(const std::string& pod, const Lease& lease) {
  ASSIGN_OR_RETURN(Statement * find,
                   Prepared("SELECT pod FROM leases WHERE start < ?1 + ?2 AND "
                            "start + length > ?1 AND pod <> ?3"));
  const Use overlap(find);
  overlap->BindInt(1, lease.start);
  overlap->BindInt(2, lease.length);
  overlap->BindText(3, pod);
  ASSIGN_OR_RETURN(const bool taken, overlap->Step());
  if (taken) {
    return absl::AlreadyExistsError(
        absl::StrCat("lease ids ", lease.start, "+", lease.length, ": pod ",
                     overlap->Bytes(0), " has some of them"));
  }
  ASSIGN_OR_RETURN(Statement * add,
                   Prepared("INSERT INTO leases VALUES(?, ?, ?)"));
  const Use insert(add);
  insert->BindInt(1, lease.start);
  insert->BindInt(2, lease.length);
  insert->BindText(3, pod);
  return insert->Step().status();
}

absl::Status Store::AddPod(const state::v1::PodRecord& record,
                           const std::vector<Lease>& leases) {
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(Run("BEGIN IMMEDIATE"));
  absl::Status status;
  for (const Lease& lease : leases) {
    status.Update(AddLease(record.id(), lease));
  }
  status.Update(Put("INSERT INTO pods VALUES(?, ?)", record.id(),
                    record.SerializeAsString()));
  const absl::Status ended = Run(status.ok() ? "COMMIT" : "ROLLBACK");
  status.Update(ended);
  return status;
}

absl::Status Store::UpdatePod(const state::v1::PodRecord& record) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Put("UPDATE pods SET record = ?2 WHERE id = ?1", record.id(),
             record.SerializeAsString());
}

absl::Status Store::RemovePod(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(Run("BEGIN IMMEDIATE"));
  absl::Status status = Remove("DELETE FROM leases WHERE pod = ?", id);
  status.Update(Remove("DELETE FROM pods WHERE id = ?", id));
  const absl::Status ended = Run(status.ok() ? "COMMIT" : "ROLLBACK");
  status.Update(ended);
  return status;
}

absl::StatusOr<std::vector<Lease>> Store::Leases() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Lease> leases;
  ASSIGN_OR_RETURN(
      Statement statement,
      Statement::Prepare(database_, "SELECT start, length FROM leases"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) {
      return leases;
    }
    leases.push_back({static_cast<uint32_t>(statement.Int(0)),
                      static_cast<uint32_t>(statement.Int(1))});
  }
}

absl::Status Store::PutContainer(const state::v1::ContainerRecord& record) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Put("INSERT OR REPLACE INTO containers VALUES(?, ?)", record.id(),
             record.SerializeAsString());
}

absl::Status Store::RemoveContainer(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Remove("DELETE FROM containers WHERE id = ?", id);
}

template <typename Record>
absl::Status Store::LoadTable(const char* table, std::vector<Record>& records) {
  std::vector<std::string> damaged;
  {
    ASSIGN_OR_RETURN(
        Statement rows,
        Statement::Prepare(
            database_, absl::StrCat("SELECT id, record FROM ", table).c_str()));
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, rows.Step());
      if (!more) {
        break;
      }
      Record record;
      const std::string id = rows.Bytes(0);
      if (record.ParseFromString(rows.Bytes(1)) && record.id() == id) {
        records.push_back(std::move(record));
      } else {
        damaged.push_back(id);
      }
    }
  }
  for (const std::string& id : damaged) {
    LogError(absl::StrCat("load record ", id, " of ", table,
                          ": damaged, set aside"));
    RETURN_IF_ERROR(
        Remove(absl::StrCat("INSERT INTO damaged SELECT '", table,
                            "', id, record FROM ", table, " WHERE id = ?")
                   .c_str(),
               id));
    RETURN_IF_ERROR(Remove(
        absl::StrCat("DELETE FROM ", table, " WHERE id = ?").c_str(), id));
  }
  return absl::OkStatus();
}

absl::StatusOr<Records> Store::Load() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Records records;
  RETURN_IF_ERROR(LoadTable("pods", records.pods));
  RETURN_IF_ERROR(LoadTable("containers", records.containers));
  return records;
}

}  // namespace caisson::store
