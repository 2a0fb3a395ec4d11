#pragma once

#include <sqlite3.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::store {

// A prepared statement, finalized by the destructor.  Columns and parameters
// count as SQLite counts them: from 0 and from 1.
class Statement {
 public:
  static absl::StatusOr<Statement> Prepare(sqlite3* database, const char* sql);
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement(Statement&& other) noexcept : statement_(other.statement_) {
    other.statement_ = nullptr;
  }

  ~Statement();

  void BindText(int parameter, absl::string_view text);
  void BindBlob(int parameter, absl::string_view bytes);
  void BindInt(int parameter, int64_t value);

  // True: a row is there to be read; false: done.
  absl::StatusOr<bool> Step();
  // Back to before the first Step(), without values: for the next use.
  void Reset();

  std::string Bytes(int column) const;
  int64_t Int(int column) const;

 private:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  sqlite3_stmt* statement_;
};

absl::Status DatabaseError(sqlite3* database, absl::string_view what);

}  // namespace caisson::store
