#include "shim/store/statement.h"

#include "absl/strings/str_cat.h"

namespace caisson::store {

absl::Status DatabaseError(sqlite3* database, absl::string_view what) {
  const absl::string_view cause = sqlite3_errmsg(database);
  const std::string text = absl::StrCat(what, ": ", cause);
  switch (sqlite3_errcode(database)) {
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(text);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return absl::DataLossError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::StatusOr<Statement> Statement::Prepare(sqlite3* database,
                                             const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) != SQLITE_OK) {
    return DatabaseError(database, absl::StrCat("prepare \"", sql, "\""));
  }
  return Statement(statement);
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

void Statement::BindText(int parameter, absl::string_view text) {
  sqlite3_bind_text(statement_, parameter, text.data(),
                    static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

void Statement::BindBlob(int parameter, absl::string_view bytes) {
  sqlite3_bind_blob(statement_, parameter, bytes.data(),
                    static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
}

void Statement::BindInt(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_, parameter, value);
}

absl::StatusOr<bool> Statement::Step() {
  const int result = sqlite3_step(statement_);
  if (result != SQLITE_ROW && result != SQLITE_DONE) {
    return DatabaseError(sqlite3_db_handle(statement_), "run statement");
  }
  return result == SQLITE_ROW;
}

void Statement::Reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

std::string Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string()
                         : std::string(static_cast<const char*>(data),
                                       static_cast<size_t>(size));
}

int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

}  // namespace caisson::store
