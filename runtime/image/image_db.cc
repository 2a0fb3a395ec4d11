#include "runtime/image/image_db.h"

#include <sqlite3.h>

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/image/sqlite_statement.h"

namespace caisson::image {
namespace {

constexpr int kBusyMilliseconds = 5000;
// user_version of a file whose tables are as below.
constexpr int64_t kVersion = 1;

// FULL: what a pull reported done survives a power cut.
constexpr char kSchema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    // Records are read once, at the start.
    "PRAGMA cache_size = -256;"
    "CREATE TABLE IF NOT EXISTS images("
    " id BLOB PRIMARY KEY, tags BLOB, digests BLOB, config BLOB,"
    " passwd BLOB, groups BLOB) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS damaged_images("
    " id BLOB, tags BLOB, digests BLOB, config BLOB, reason BLOB);"
    "CREATE TABLE IF NOT EXISTS layers("
    " diff_id BLOB PRIMARY KEY, file_bytes INTEGER, highest_id INTEGER,"
    " passwd BLOB, passwd_removed INTEGER, groups BLOB,"
    " groups_removed INTEGER) WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

// Names of images hold no line feeds.
std::string Join(const std::vector<std::string>& names) {
  return absl::StrJoin(names, "\n");
}

std::vector<std::string> Split(const std::string& names) {
  return absl::StrSplit(names, '\n', absl::SkipEmpty());
}

absl::Status CheckSoundness(sqlite3* db) {
  SqliteStatement check(db, "PRAGMA quick_check(1)");
  ASSIGN_OR_RETURN(const bool row, check.Step());
  if (const std::string said = row ? check.Bytes(0) : ""; said != "ok") {
    return absl::DataLossError(absl::StrCat("check image records: ", said));
  }
  return absl::OkStatus();
}

absl::Status CheckVersion(sqlite3* db) {
  SqliteStatement select(db,
                         "SELECT (SELECT * FROM pragma_user_version),"
                         " (SELECT count(*) FROM sqlite_schema)");
  ASSIGN_OR_RETURN(const bool row, select.Step());
  const int64_t version = row ? select.Number(0) : 0;
  const bool fresh = row && select.Number(1) == 0;
  if (version != kVersion && !fresh) {
    return absl::DataLossError(absl::StrCat("check image records: version ",
                                            version, ", not ", kVersion));
  }
  return absl::OkStatus();
}

absl::StatusOr<sqlite3*> OpenFile(const std::string& path) {
  sqlite3* db = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &db,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  absl::Status status =
      opened == SQLITE_OK ? absl::OkStatus() : SqliteError(db, "open");
  if (status.ok()) {
    sqlite3_busy_timeout(db, kBusyMilliseconds);
    status = CheckSoundness(db);
  }
  if (status.ok()) {
    status = CheckVersion(db);
  }
  if (status.ok()) {
    status = Execute(db, kSchema);
  }
  if (!status.ok()) {
    sqlite3_close(db);
    return status;
  }
  return db;
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

void BindUserFile(SqliteStatement& statement, int first, const UserFile& file) {
  if (file.content.has_value()) {
    statement.BindBytes(first, *file.content);
  }
  statement.BindNumber(first + 1, file.removed ? 1 : 0);
}

UserFile ReadUserFile(SqliteStatement& statement, int first) {
  UserFile file;
  if (!statement.IsNull(first)) {
    file.content = statement.Bytes(first);
  }
  file.removed = statement.Number(first + 1) != 0;
  return file;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImageDb>> ImageDb::Open(
    const std::string& path) {
  absl::StatusOr<sqlite3*> db = OpenFile(path);
  if (absl::IsDataLoss(db.status())) {
    LogError(absl::StrCat("open ", path, ": ", db.status().message(),
                          "; set aside, starting without images"));
    RETURN_IF_ERROR(SetFileAside(path));
    db = OpenFile(path);
  }
  RETURN_IF_ERROR(Annotate(db.status(), path));
  return std::unique_ptr<ImageDb>(new ImageDb(*db));
}

ImageDb::~ImageDb() {
  sqlite3_close(db_);
}

absl::StatusOr<std::vector<ImageRecord>> ImageDb::ListImages() {
  const std::lock_guard<std::mutex> lock(mutex_);
  SqliteStatement select(
      db_, "SELECT id, tags, digests, config, passwd, groups FROM images");
  std::vector<ImageRecord> images;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      return images;
    }
    ImageRecord& image = images.emplace_back();
    image.id = select.Bytes(0);
    image.repo_tags = Split(select.Bytes(1));
    image.repo_digests = Split(select.Bytes(2));
    image.config = select.Bytes(3);
    image.users.passwd = select.Bytes(4);
    image.users.group = select.Bytes(5);
  }
}

absl::Status ImageDb::PutImage(const ImageRecord& image) {
  SqliteStatement put(db_,
                      "INSERT OR REPLACE INTO images VALUES(?, ?, ?, ?, ?, ?)");
  put.BindBytes(0, image.id);
  put.BindBytes(1, Join(image.repo_tags));
  put.BindBytes(2, Join(image.repo_digests));
  put.BindBytes(3, image.config);
  put.BindBytes(4, image.users.passwd);
  put.BindBytes(5, image.users.group);
  return put.Run();
}

absl::Status ImageDb::PutImages(const std::vector<ImageRecord>& images) {
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(Execute(db_, "BEGIN IMMEDIATE"));
  absl::Status status;
  for (const ImageRecord& image : images) {
    status.Update(PutImage(image));
  }
  if (status.ok()) {
    status = Execute(db_, "COMMIT");
  }
  if (!status.ok()) {
    Execute(db_, "ROLLBACK").IgnoreError();
  }
  return status;
}

absl::Status ImageDb::DeleteImage(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  SqliteStatement remove(db_, "DELETE FROM images WHERE id = ?");
  remove.BindBytes(0, id);
  return remove.Run();
}

absl::Status ImageDb::SetImageAside(const std::string& id,
                                    absl::string_view reason) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    SqliteStatement copy(db_,
                         "INSERT INTO damaged_images SELECT"
                         " id, tags, digests, config, ? FROM images"
                         " WHERE id = ?");
    copy.BindBytes(0, reason);
    copy.BindBytes(1, id);
    RETURN_IF_ERROR(copy.Run());
  }
  return DeleteImage(id);
}

absl::StatusOr<std::vector<LayerRecord>> ImageDb::ListLayers() {
  const std::lock_guard<std::mutex> lock(mutex_);
  SqliteStatement select(db_,
                         "SELECT diff_id, file_bytes, highest_id FROM layers");
  std::vector<LayerRecord> layers;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      return layers;
    }
    LayerRecord& layer = layers.emplace_back();
    layer.diff_id = select.Bytes(0);
    layer.file_bytes = static_cast<uint64_t>(select.Number(1));
    layer.highest_id = static_cast<uint32_t>(select.Number(2));
  }
}

absl::StatusOr<LayerRecord> ImageDb::GetLayer(const std::string& diff_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  SqliteStatement select(
      db_,
      "SELECT file_bytes, highest_id, passwd, passwd_removed, groups,"
      " groups_removed FROM layers WHERE diff_id = ?");
  select.BindBytes(0, diff_id);
  ASSIGN_OR_RETURN(const bool row, select.Step());
  if (!row) {
    return absl::InternalError(
        absl::StrCat("read layer ", diff_id, ": no record"));
  }
  LayerRecord layer;
  layer.diff_id = diff_id;
  layer.file_bytes = static_cast<uint64_t>(select.Number(0));
  layer.highest_id = static_cast<uint32_t>(select.Number(1));
  layer.passwd = ReadUserFile(select, 2);
  layer.group = ReadUserFile(select, 4);
  return layer;
}

absl::Status ImageDb::PutLayer(const LayerRecord& layer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  SqliteStatement put(
      db_, "INSERT OR REPLACE INTO layers VALUES(?, ?, ?, ?, ?, ?, ?)");
  put.BindBytes(0, layer.diff_id);
  put.BindNumber(1, static_cast<int64_t>(layer.file_bytes));
  put.BindNumber(2, layer.highest_id);
  BindUserFile(put, 3, layer.passwd);
  BindUserFile(put, 5, layer.group);
  return put.Run();
}

absl::Status ImageDb::DeleteLayer(const std::string& diff_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  SqliteStatement remove(db_, "DELETE FROM layers WHERE diff_id = ?");
  remove.BindBytes(0, diff_id);
  return remove.Run();
}

}  // namespace caisson::image
