#include "runtime/base/sqlite.h"

#include <sqlite3.h>

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"

namespace caisson::sqlite {
namespace {

// For what another process may hold for a moment: an operator's sqlite3.
constexpr int kBusyMilliseconds = 5000;

absl::StatusOr<std::string> SetFileAside(const std::string& path) {
  std::string aside = absl::StrCat(path, ".damaged-", NowNanos());
  if (rename(path.c_str(), aside.c_str()) != 0) {
    return ErrnoError("set aside", path);
  }
  // The log of a damaged file must not be replayed into the new one.
  for (const char* suffix : {"-wal", "-shm"}) {
    rename((path + suffix).c_str(), (aside + suffix).c_str());
  }
  return aside;
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      sql_(std::move(other.sql_)),
      statement_(std::exchange(other.statement_, nullptr)),
      failed_(other.failed_) {}

Statement::~Statement() {
  if (statement_ != nullptr) {
    database_->GiveBack(std::move(sql_), statement_);
  }
}

void Statement::BindText(int parameter, absl::string_view text) {
  if (failed_ == SQLITE_OK) {
    // A null pointer would bind NULL, which is not the empty value.
    failed_ = sqlite3_bind_text64(statement_, parameter,
                                  text.data() == nullptr ? "" : text.data(),
                                  text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  }
}

void Statement::BindBlob(int parameter, absl::string_view bytes) {
  if (failed_ == SQLITE_OK) {
    failed_ = sqlite3_bind_blob64(statement_, parameter,
                                  bytes.data() == nullptr ? "" : bytes.data(),
                                  bytes.size(), SQLITE_TRANSIENT);
  }
}

void Statement::BindInt(int parameter, int64_t value) {
  if (failed_ == SQLITE_OK) {
    failed_ = sqlite3_bind_int64(statement_, parameter, value);
  }
}

absl::StatusOr<bool> Statement::Step() {
  if (failed_ != SQLITE_OK) {
    return absl::InternalError(absl::StrCat("bind value of \"", sql_,
                                            "\": ", sqlite3_errstr(failed_)));
  }
  const int result = sqlite3_step(statement_);
  if (result != SQLITE_ROW && result != SQLITE_DONE) {
    return database_->Error(absl::StrCat("run \"", sql_, "\""));
  }
  return result == SQLITE_ROW;
}

absl::StatusOr<int> Statement::Run() {
  RETURN_IF_ERROR(Step().status());
  return sqlite3_changes(database_->database_);
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

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path, const Format& format) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &raw,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  std::unique_ptr<Database> database(new Database(raw));
  if (opened != SQLITE_OK) {
    return database->Error(absl::StrCat("open ", path));
  }
  sqlite3_busy_timeout(raw, kBusyMilliseconds);
  RETURN_IF_ERROR(
      Annotate(database->Prepared(format), absl::StrCat("open ", path)));
  return database;
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenOrSetAside(
    const std::string& path, const Format& format) {
  absl::StatusOr<std::unique_ptr<Database>> database = Open(path, format);
  if (!absl::IsDataLoss(database.status())) {
    return database;
  }
  LogError(absl::StrCat(database.status().message(), ": set aside"));
  ASSIGN_OR_RETURN(std::string aside, SetFileAside(path));
  database = Open(path, format);
  if (database.ok()) {
    (*database)->set_aside_ = std::move(aside);
  }
  return database;
}

Database::~Database() {
  for (const auto& [sql, statement] : idle_) {
    sqlite3_finalize(statement);
  }
  sqlite3_close(database_);
}

absl::Status Database::Prepared(const Format& format) {
  RETURN_IF_ERROR(CheckSoundness());
  RETURN_IF_ERROR(CheckVersion(format));
  RETURN_IF_ERROR(Execute(format.settings));
  RETURN_IF_ERROR(Execute(format.schema));
  return Execute(
      absl::StrCat("PRAGMA user_version = ", format.version).c_str());
}

absl::Status Database::CheckSoundness() {
  ASSIGN_OR_RETURN(Statement check, Prepare("PRAGMA quick_check(1)"));
  ASSIGN_OR_RETURN(const bool row, check.Step());
  if (const std::string said = row ? check.Bytes(0) : ""; said != "ok") {
    return absl::DataLossError(absl::StrCat("check: ", said));
  }
  return absl::OkStatus();
}

absl::Status Database::CheckVersion(const Format& format) {
  ASSIGN_OR_RETURN(Statement select,
                   Prepare("SELECT (SELECT * FROM pragma_user_version),"
                           " (SELECT count(*) FROM sqlite_schema)"));
  ASSIGN_OR_RETURN(const bool row, select.Step());
  const int64_t version = row ? select.Int(0) : 0;
  const bool fresh = row && version == 0 && select.Int(1) == 0;
  if (version > format.version) {
    return absl::FailedPreconditionError(
        absl::StrCat("written by a newer caissond: version ", version,
                     ", and this one knows up to ", format.version,
                     ": run the newer one, or move the file away"));
  }
  if (version < format.oldest && !fresh) {
    return absl::DataLossError(
        absl::StrCat("version ", version, " is older than ", format.oldest));
  }
  return absl::OkStatus();
}

absl::Status Database::Error(absl::string_view what) const {
  const std::string text = absl::StrCat(what, ": ", sqlite3_errmsg(database_));
  switch (sqlite3_errcode(database_)) {
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(text);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return absl::DataLossError(text);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::StatusOr<Statement> Database::Prepare(absl::string_view sql) {
  if (const auto found = idle_.find(sql); found != idle_.end()) {
    auto node = idle_.extract(found);
    return Statement(this, std::move(node.key()), node.mapped());
  }
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database_, sql.data(), static_cast<int>(sql.size()),
                         &statement, nullptr) != SQLITE_OK) {
    return Error(absl::StrCat("prepare \"", sql, "\""));
  }
  return Statement(this, std::string(sql), statement);
}

void Database::GiveBack(std::string sql, sqlite3_stmt* statement) {
  // Also ends the reading that would keep a transaction from its end.
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  if (!idle_.emplace(std::move(sql), statement).second) {
    sqlite3_finalize(statement);
  }
}

absl::Status Database::Execute(const char* sql) {
  return sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK
             ? absl::OkStatus()
             : Error("change database");
}

absl::Status Database::Transact(absl::FunctionRef<absl::Status()> work) {
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  absl::Status status = work();
  if (status.ok()) {
    status = Execute("COMMIT");
  }
  // A COMMIT that failed may have left it open, and some errors end it.
  if (sqlite3_get_autocommit(database_) == 0) {
    status.Update(Execute("ROLLBACK"));
  }
  return status;
}

}  // namespace caisson::sqlite
