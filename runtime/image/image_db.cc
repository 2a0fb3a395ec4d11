#include "runtime/image/image_db.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"

namespace caisson::image {
namespace {

constexpr sqlite::Format kFormat = {
    .settings =
        "PRAGMA journal_mode = WAL;"
        // FULL: what a pull reported done survives a power cut.
        "PRAGMA synchronous = FULL;"
        // Records are read once, at the start.
        "PRAGMA cache_size = -256;",
    .schema =
        "CREATE TABLE IF NOT EXISTS images("
        " id BLOB PRIMARY KEY, tags BLOB, digests BLOB, config BLOB,"
        " passwd BLOB, groups BLOB) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS damaged_images("
        " id BLOB, tags BLOB, digests BLOB, config BLOB, reason BLOB);"
        "CREATE TABLE IF NOT EXISTS layers("
        " diff_id BLOB PRIMARY KEY, file_bytes INTEGER, highest_id INTEGER,"
        " passwd BLOB, passwd_removed INTEGER, groups BLOB,"
        " groups_removed INTEGER) WITHOUT ROWID;",
    .version = 1,
    .oldest = 1,
};

// Names of images hold no line feeds.
std::string Join(const std::vector<std::string>& names) {
  return absl::StrJoin(names, "\n");
}

std::vector<std::string> Split(const std::string& names) {
  return absl::StrSplit(names, '\n', absl::SkipEmpty());
}

void BindUserFile(sqlite::Statement& statement, int first,
                  const UserFile& file) {
  if (file.content.has_value()) {
    statement.BindBlob(first, *file.content);
  }
  statement.BindInt(first + 1, file.removed ? 1 : 0);
}

UserFile ReadUserFile(sqlite::Statement& statement, int first) {
  UserFile file;
  if (!statement.IsNull(first)) {
    file.content = statement.Bytes(first);
  }
  file.removed = statement.Int(first + 1) != 0;
  return file;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImageDb>> ImageDb::Open(
    const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Database> database,
                   sqlite::Database::OpenOrSetAside(path, kFormat));
  return std::unique_ptr<ImageDb>(new ImageDb(std::move(database)));
}

absl::StatusOr<std::vector<ImageRecord>> ImageDb::ListImages() {
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(
      sqlite::Statement select,
      db_->Prepare(
          "SELECT id, tags, digests, config, passwd, groups FROM images"));
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
  ASSIGN_OR_RETURN(
      sqlite::Statement put,
      db_->Prepare("INSERT OR REPLACE INTO images VALUES(?, ?, ?, ?, ?, ?)"));
  put.BindBlob(1, image.id);
  put.BindBlob(2, Join(image.repo_tags));
  put.BindBlob(3, Join(image.repo_digests));
  put.BindBlob(4, image.config);
  put.BindBlob(5, image.users.passwd);
  put.BindBlob(6, image.users.group);
  return put.Run().status();
}

absl::Status ImageDb::PutImages(const std::vector<ImageRecord>& images) {
  const MutexLock lock(mutex_);
  return db_->Transact([&]() -> absl::Status {
    mutex_.AssertHeld();
    for (const ImageRecord& image : images) {
      RETURN_IF_ERROR(PutImage(image));
    }
    return absl::OkStatus();
  });
}

absl::Status ImageDb::Delete(absl::string_view sql, const std::string& key) {
  ASSIGN_OR_RETURN(sqlite::Statement remove, db_->Prepare(sql));
  remove.BindBlob(1, key);
  return remove.Run().status();
}

absl::Status ImageDb::DeleteImage(const std::string& id) {
  const MutexLock lock(mutex_);
  return Delete("DELETE FROM images WHERE id = ?", id);
}

absl::Status ImageDb::SetImageAside(const std::string& id,
                                    absl::string_view reason) {
  const MutexLock lock(mutex_);
  return db_->Transact([&]() -> absl::Status {
    mutex_.AssertHeld();
    ASSIGN_OR_RETURN(sqlite::Statement copy,
                     db_->Prepare("INSERT INTO damaged_images SELECT"
                                  " id, tags, digests, config, ? FROM images"
                                  " WHERE id = ?"));
    copy.BindBlob(1, reason);
    copy.BindBlob(2, id);
    RETURN_IF_ERROR(copy.Run().status());
    return Delete("DELETE FROM images WHERE id = ?", id);
  });
}

absl::StatusOr<std::vector<LayerRecord>> ImageDb::ListLayers() {
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(
      sqlite::Statement select,
      db_->Prepare("SELECT diff_id, file_bytes, highest_id FROM layers"));
  std::vector<LayerRecord> layers;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      return layers;
    }
    LayerRecord& layer = layers.emplace_back();
    layer.diff_id = select.Bytes(0);
    layer.file_bytes = static_cast<uint64_t>(select.Int(1));
    layer.highest_id = static_cast<uint32_t>(select.Int(2));
  }
}

absl::StatusOr<LayerRecord> ImageDb::GetLayer(const std::string& diff_id) {
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(
      sqlite::Statement select,
      db_->Prepare(
          "SELECT file_bytes, highest_id, passwd, passwd_removed, groups,"
          " groups_removed FROM layers WHERE diff_id = ?"));
  select.BindBlob(1, diff_id);
  ASSIGN_OR_RETURN(const bool row, select.Step());
  if (!row) {
    return absl::InternalError(
        absl::StrCat("read layer ", diff_id, ": no record"));
  }
  LayerRecord layer;
  layer.diff_id = diff_id;
  layer.file_bytes = static_cast<uint64_t>(select.Int(0));
  layer.highest_id = static_cast<uint32_t>(select.Int(1));
  layer.passwd = ReadUserFile(select, 2);
  layer.group = ReadUserFile(select, 4);
  return layer;
}

absl::Status ImageDb::PutLayer(const LayerRecord& layer) {
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(
      sqlite::Statement put,
      db_->Prepare(
          "INSERT OR REPLACE INTO layers VALUES(?, ?, ?, ?, ?, ?, ?)"));
  put.BindBlob(1, layer.diff_id);
  put.BindInt(2, static_cast<int64_t>(layer.file_bytes));
  put.BindInt(3, layer.highest_id);
  BindUserFile(put, 4, layer.passwd);
  BindUserFile(put, 6, layer.group);
  return put.Run().status();
}

absl::Status ImageDb::DeleteLayer(const std::string& diff_id) {
  const MutexLock lock(mutex_);
  return Delete("DELETE FROM layers WHERE diff_id = ?", diff_id);
}

}  // namespace caisson::image
