#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

// SQLite as the daemon uses it: one connection, one thread at a time (whoever
// owns a Database guards it).  Errors: DataLoss for a damaged file,
// AlreadyExists for a broken constraint, ResourceExhausted for a full disk,
// else Internal.
namespace caisson::sqlite {

class Database;

// A prepared statement in use.  Parameters count from 1 and columns from 0, as
// SQLite has it.  Must not outlive its database.
class Statement {
 public:
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  Statement(Statement&& other) noexcept;
  // Gives it back, for the next use.
  ~Statement();

  // What can't be bound is an error of the next Step().  The bytes are copied.
  void BindText(int parameter, absl::string_view text);
  void BindBlob(int parameter, absl::string_view bytes);
  void BindInt(int parameter, int64_t value);

  // True: a row is there to be read; false: done.
  absl::StatusOr<bool> Step();
  // For statements without rows: does it, and how many rows it has changed.
  absl::StatusOr<int> Run();

  // Of the row; text and blob alike, empty for NULL.
  std::string Bytes(int column) const;
  int64_t Int(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;

  Statement(Database* database, std::string sql, sqlite3_stmt* statement)
      : database_(database), sql_(std::move(sql)), statement_(statement) {}

  Database* database_;
  std::string sql_;
  sqlite3_stmt* statement_;
  int failed_ = 0;
};

// What a file is to hold.
struct Format {
  // Statements run at each opening, before the schema: pragmas.
  const char* settings;
  // Makes what tables are missing.
  const char* schema;
  // Written into the file as user_version.  A file of a newer version is
  // FailedPrecondition, and left alone: it was written by a newer caissond.
  int64_t version;
  // The oldest version that can be read; older is DataLoss.  A file without a
  // version counts as 0.
  int64_t oldest;
};

class Database {
 public:
  // Opens or makes the file `path`, and checks it (PRAGMA quick_check).
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path,
                                                        const Format& format);
  // The same, but a file that is DataLoss is renamed to PATH.damaged-NANOS,
  // with a log line, and a new one made.
  static absl::StatusOr<std::unique_ptr<Database>> OpenOrSetAside(
      const std::string& path, const Format& format);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // Where OpenOrSetAside() has put a damaged file; empty: there was none.
  const std::string& set_aside() const { return set_aside_; }

  // A statement of `sql`, compiled once and kept.
  absl::StatusOr<Statement> Prepare(absl::string_view sql);
  // Statements without parameters and rows, separated by semicolons.
  absl::Status Execute(const char* sql);
  // Does `work` in one transaction: all of it is kept, or with an error none.
  // No transaction is open afterwards, whatever failed.
  absl::Status Transact(absl::FunctionRef<absl::Status()> work);

 private:
  friend class Statement;

  explicit Database(sqlite3* database) : database_(database) {}

  absl::Status Error(absl::string_view what) const;
  absl::Status CheckSoundness();
  absl::Status CheckVersion(const Format& format);
  absl::Status Prepared(const Format& format);
  void GiveBack(std::string sql, sqlite3_stmt* statement);

  sqlite3* const database_;
  std::string set_aside_;
  // Those that nobody uses now.
  std::map<std::string, sqlite3_stmt*, std::less<>> idle_;
};

}  // namespace caisson::sqlite
