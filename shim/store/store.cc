#include "shim/store/store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"

namespace caisson::store {
namespace {

constexpr sqlite::Format kFormat = {
    // Exclusive: nobody else has business here while we run, and each change
    // spares its locks and the index in shared memory.
    .settings =
        "PRAGMA locking_mode=EXCLUSIVE;"
        "PRAGMA journal_mode=WAL;"
        "PRAGMA synchronous=NORMAL;"
        "PRAGMA cache_size=-512;",
    .schema =
        "CREATE TABLE IF NOT EXISTS pods(id TEXT PRIMARY KEY, record BLOB);"
        "CREATE TABLE IF NOT EXISTS containers(id TEXT PRIMARY KEY,"
        " record BLOB);"
        "CREATE TABLE IF NOT EXISTS leases(start INTEGER PRIMARY KEY,"
        " length INTEGER, pod TEXT);"
        "CREATE TABLE IF NOT EXISTS damaged(kind TEXT, id TEXT, record BLOB);"
        "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT);",
    .version = 1,
    // The same without "meta" and a version.
    .oldest = 0,
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Database> database,
                   sqlite::Database::OpenOrSetAside(path, kFormat));
  std::unique_ptr<Store> store(new Store(std::move(database)));
  const MutexLock lock(store->mutex_);
  RETURN_IF_ERROR(store->NoteSetAside());
  return store;
}

absl::Status Store::NoteSetAside() {
  // Kept, for we may end before what the file knew of is taken down.
  const std::string& aside = database_->set_aside();
  return aside.empty()
             ? absl::OkStatus()
             : Change("INSERT OR REPLACE INTO meta VALUES('set_aside', ?1)",
                      aside)
                   .status();
}

absl::StatusOr<int> Store::Change(absl::string_view sql, absl::string_view id,
                                  absl::string_view record) {
  ASSIGN_OR_RETURN(sqlite::Statement statement, database_->Prepare(sql));
  statement.BindText(1, id);
  if (record.data() != nullptr) {
    statement.BindBlob(2, record);
  }
  return statement.Run();
}

absl::Status Store::AddLease(const std::string& pod, const Lease& lease) {
  ASSIGN_OR_RETURN(
      sqlite::Statement overlap,
      database_->Prepare("SELECT pod FROM leases WHERE start < ?1 + ?2 AND "
                         "start + length > ?1 AND pod <> ?3"));
  overlap.BindInt(1, lease.start);
  overlap.BindInt(2, lease.length);
  overlap.BindText(3, pod);
  ASSIGN_OR_RETURN(const bool taken, overlap.Step());
  if (taken) {
    return absl::AlreadyExistsError(
        absl::StrCat("lease ids ", lease.start, "+", lease.length, ": pod ",
                     overlap.Bytes(0), " has some of them"));
  }
  ASSIGN_OR_RETURN(sqlite::Statement insert,
                   database_->Prepare("INSERT INTO leases VALUES(?, ?, ?)"));
  insert.BindInt(1, lease.start);
  insert.BindInt(2, lease.length);
  insert.BindText(3, pod);
  return insert.Run().status();
}

absl::Status Store::AddPod(const state::v1::PodRecord& record,
                           const std::vector<Lease>& leases) {
  const std::string bytes = record.SerializeAsString();
  const MutexLock lock(mutex_);
  return database_->Transact([&]() -> absl::Status {
    mutex_.AssertHeld();
    for (const Lease& lease : leases) {
      RETURN_IF_ERROR(AddLease(record.id(), lease));
    }
    return Change("INSERT INTO pods VALUES(?1, ?2)", record.id(), bytes)
        .status();
  });
}

absl::Status Store::UpdatePod(const state::v1::PodRecord& record) {
  const std::string bytes = record.SerializeAsString();
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(
      const int changed,
      Change("UPDATE pods SET record = ?2 WHERE id = ?1", record.id(), bytes));
  if (changed == 0) {
    return absl::NotFoundError(
        absl::StrCat("update record of pod ", record.id(), ": there is none"));
  }
  return absl::OkStatus();
}

absl::Status Store::RemovePod(const std::string& id) {
  const MutexLock lock(mutex_);
  return database_->Transact([&]() -> absl::Status {
    mutex_.AssertHeld();
    RETURN_IF_ERROR(Change("DELETE FROM leases WHERE pod = ?1", id).status());
    return Change("DELETE FROM pods WHERE id = ?1", id).status();
  });
}

absl::StatusOr<std::vector<Lease>> Store::Leases() {
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const std::vector<Records::PodLease> all, LoadLeases());
  std::vector<Lease> leases;
  for (const Records::PodLease& each : all) {
    leases.push_back(each.lease);
  }
  return leases;
}

absl::Status Store::PutContainer(const state::v1::ContainerRecord& record) {
  const std::string bytes = record.SerializeAsString();
  const MutexLock lock(mutex_);
  return Change("INSERT OR REPLACE INTO containers VALUES(?1, ?2)", record.id(),
                bytes)
      .status();
}

absl::Status Store::RemoveContainer(const std::string& id) {
  const MutexLock lock(mutex_);
  return Change("DELETE FROM containers WHERE id = ?1", id).status();
}

absl::StatusOr<std::vector<Records::PodLease>> Store::LoadLeases() {
  ASSIGN_OR_RETURN(sqlite::Statement rows,
                   database_->Prepare("SELECT pod, start, length FROM leases"));
  std::vector<Records::PodLease> leases;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) {
      return leases;
    }
    leases.push_back({rows.Bytes(0),
                      {static_cast<uint32_t>(rows.Int(1)),
                       static_cast<uint32_t>(rows.Int(2))}});
  }
}

absl::StatusOr<std::vector<std::string>> Store::Ids(absl::string_view sql) {
  ASSIGN_OR_RETURN(sqlite::Statement rows, database_->Prepare(sql));
  std::vector<std::string> ids;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) {
      return ids;
    }
    ids.push_back(rows.Bytes(0));
  }
}

template <typename Record>
absl::Status Store::LoadTable(absl::string_view table,
                              std::vector<Record>& records,
                              std::vector<std::string>& damaged) {
  // Those that an earlier start has moved.
  ASSIGN_OR_RETURN(damaged, Ids(absl::StrCat("SELECT DISTINCT id FROM damaged"
                                             " WHERE kind = '",
                                             table, "'")));
  const size_t moved = damaged.size();
  {
    ASSIGN_OR_RETURN(
        sqlite::Statement rows,
        database_->Prepare(absl::StrCat("SELECT id, record FROM ", table)));
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
  for (size_t i = moved; i < damaged.size(); ++i) {
    MoveDamaged(table, damaged[i]);
  }
  return absl::OkStatus();
}

void Store::MoveDamaged(absl::string_view table, const std::string& id) {
  const absl::Status status = database_->Transact([&]() -> absl::Status {
    mutex_.AssertHeld();
    RETURN_IF_ERROR(
        Change(absl::StrCat("INSERT INTO damaged SELECT '", table,
                            "', id, record FROM ", table, " WHERE id = ?1"),
               id)
            .status());
    return Change(absl::StrCat("DELETE FROM ", table, " WHERE id = ?1"), id)
        .status();
  });
  // Where it stays it is found again at the next start.
  LogError(absl::StrCat("load record ", id, " of ", table, ": damaged, ",
                        status.ok() ? "set aside" : status.message()));
}

absl::StatusOr<Records> Store::Load() {
  const MutexLock lock(mutex_);
  Records records;
  RETURN_IF_ERROR(LoadTable("pods", records.pods, records.damaged_pods));
  RETURN_IF_ERROR(
      LoadTable("containers", records.containers, records.damaged_containers));
  ASSIGN_OR_RETURN(records.leases, LoadLeases());
  ASSIGN_OR_RETURN(const std::vector<std::string> aside,
                   Ids("SELECT value FROM meta WHERE key = 'set_aside'"));
  records.set_aside = aside.empty() ? "" : aside.front();
  return records;
}

absl::Status Store::ForgetDamaged(const std::string& id) {
  const MutexLock lock(mutex_);
  return database_->Transact([&]() -> absl::Status {
    mutex_.AssertHeld();
    RETURN_IF_ERROR(Change("DELETE FROM leases WHERE pod = ?1 AND"
                           " pod NOT IN (SELECT id FROM pods)",
                           id)
                        .status());
    return Change(
               "UPDATE damaged SET kind = 'forgotten ' || kind "
               "WHERE id = ?1 AND kind NOT LIKE 'forgotten %'",
               id)
        .status();
  });
}

absl::Status Store::ForgetSetAside() {
  const MutexLock lock(mutex_);
  return Change("DELETE FROM meta WHERE key = ?1", "set_aside").status();
}

}  // namespace caisson::store
