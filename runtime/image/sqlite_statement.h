#pragma once

#include <sqlite3.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::image {

// The error that `db` has just met: DataLoss for a damaged file.
absl::Status SqliteError(sqlite3* db, absl::string_view verb);

// Statements without results, separated by semicolons.
absl::Status Execute(sqlite3* db, const char* sql);

// One prepared statement; parameters and columns count from 0.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* db, const char* sql);
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  ~SqliteStatement() { sqlite3_finalize(statement_); }

  void BindNumber(int parameter, int64_t value);
  // As a blob, for text of images need not be UTF-8.
  void BindBytes(int parameter, absl::string_view value);

  // Whether there is a row.
  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();

  int64_t Number(int column);
  bool IsNull(int column);
  std::string Bytes(int column);

 private:
  sqlite3* const db_;
  sqlite3_stmt* statement_ = nullptr;
  int failed_ = SQLITE_OK;
};

}  // namespace caisson::image
