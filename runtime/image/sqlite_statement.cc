#include "runtime/image/sqlite_statement.h"

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::image {

absl::Status SqliteError(sqlite3* db, absl::string_view verb) {
  const int code = sqlite3_errcode(db);
  const std::string text =
      absl::StrCat(verb, " image records: ", sqlite3_errmsg(db));
  switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::Status Execute(sqlite3* db, const char* sql) {
  return sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK
             ? absl::OkStatus()
             : SqliteError(db, "change");
}

SqliteStatement::SqliteStatement(sqlite3* db, const char* sql) : db_(db) {
  failed_ = sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr);
}

void SqliteStatement::BindNumber(int parameter, int64_t value) {
  if (failed_ == SQLITE_OK) {
    failed_ = sqlite3_bind_int64(statement_, parameter + 1, value);
  }
}

void SqliteStatement::BindBytes(int parameter, absl::string_view value) {
  if (failed_ == SQLITE_OK) {
    // A null pointer would bind NULL, which is not the empty value.
    const char* data = value.data() == nullptr ? "" : value.data();
    failed_ = sqlite3_bind_blob64(statement_, parameter + 1, data, value.size(),
                                  SQLITE_TRANSIENT);
  }
}

absl::StatusOr<bool> SqliteStatement::Step() {
  if (failed_ != SQLITE_OK) {
    return SqliteError(db_, "prepare");
  }
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) {
    return true;
  }
  if (result == SQLITE_DONE) {
    return false;
  }
  return SqliteError(db_, "access");
}

absl::Status SqliteStatement::Run() {
  return Step().status();
}

int64_t SqliteStatement::Number(int column) {
  return sqlite3_column_int64(statement_, column);
}

bool SqliteStatement::IsNull(int column) {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::string SqliteStatement::Bytes(int column) {
  const auto* data =
      static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string()
                         : std::string(data, static_cast<size_t>(size));
}

}  // namespace caisson::image
