#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <optional>
#include <string>

#include "shim/store/store.h"

// Another program's look at pods.db, and its hands on it.
namespace caisson::testing {

inline void RunSql(const std::string& path, const std::string& sql) {
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
  sqlite3_busy_timeout(raw, 10000);
  char* error = nullptr;
  sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, &error);
  EXPECT_EQ(error, nullptr) << error;
  sqlite3_free(error);
  sqlite3_close(raw);
}

// While it lives no record of `table` can be written, or taken away, as on a
// disk that is full or broken.
class BrokenTable {
 public:
  BrokenTable(std::string path, const std::string& table)
      : path_(std::move(path)), name_("broken_" + table) {
    for (const char* what : {"INSERT", "UPDATE", "DELETE"}) {
      RunSql(path_, "CREATE TRIGGER " + name_ + what + " BEFORE " + what +
                        " ON " + table +
                        " BEGIN SELECT RAISE(FAIL, 'broken by a test'); END");
    }
  }

  BrokenTable(const BrokenTable&) = delete;
  BrokenTable& operator=(const BrokenTable&) = delete;

  ~BrokenTable() {
    for (const char* what : {"INSERT", "UPDATE", "DELETE"}) {
      RunSql(path_, "DROP TRIGGER " + name_ + what);
    }
  }

 private:
  const std::string path_;
  const std::string name_;
};

inline std::optional<state::v1::ContainerRecord> FindContainerRecord(
    store::Store& store, const std::string& id) {
  const absl::StatusOr<store::Records> records = store.Load();
  EXPECT_TRUE(records.ok()) << records.status();
  for (const state::v1::ContainerRecord& record : records->containers) {
    if (record.id() == id) {
      return record;
    }
  }
  return std::nullopt;
}

inline std::optional<state::v1::PodRecord> FindPodRecord(
    store::Store& store, const std::string& id) {
  const absl::StatusOr<store::Records> records = store.Load();
  EXPECT_TRUE(records.ok()) << records.status();
  for (const state::v1::PodRecord& record : records->pods) {
    if (record.id() == id) {
      return record;
    }
  }
  return std::nullopt;
}

}  // namespace caisson::testing
