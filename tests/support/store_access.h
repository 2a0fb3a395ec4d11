#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <csignal>
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

// While it lives no file of this process can grow, and so no record be written
// or taken away, as on a disk that is full (RLIMIT_FSIZE, getrlimit(2)).
class FullDisk {
 public:
  FullDisk() : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none = {0, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  }

  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  const sighandler_t handler_;
  rlimit before_ = {};
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
