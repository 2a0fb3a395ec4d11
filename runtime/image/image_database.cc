#include "runtime/image/image_database.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/image/manifest.h"

namespace caisson::image {
namespace {

constexpr char kSchema[] =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA cache_size=-256;"
    "CREATE TABLE IF NOT EXISTS images(id TEXT PRIMARY KEY, tags TEXT,"
    " digests TEXT, config BLOB);"
    "CREATE TABLE IF NOT EXISTS layers(diff_id TEXT PRIMARY KEY,"
    " file_bytes INTEGER, highest_id INTEGER, has_passwd INTEGER,"
    " passwd BLOB, removes_passwd INTEGER, has_group INTEGER,"
    " group_file BLOB, removes_group INTEGER);";

absl::Status Failure(sqlite3* database, absl::string_view what) {
  const absl::string_view cause = sqlite3_errmsg(database);
  return absl::InternalError(absl::StrCat(what, ": ", cause));
}

struct Finalizer {
  void operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
  }
};

using Statement = std::unique_ptr<sqlite3_stmt, Finalizer>;

absl::StatusOr<Statement> Prepare(sqlite3* database, const char* sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database, sql, -1, &raw, nullptr) != SQLITE_OK) {
    return Failure(database, "prepare statement");
  }
  return Statement(raw);
}

absl::StatusOr<bool> Step(sqlite3* database, Statement& statement) {
  const int result = sqlite3_step(statement.get());
  if (result != SQLITE_ROW && result != SQLITE_DONE) {
    return Failure(database, "run statement");
  }
  return result == SQLITE_ROW;
}

void Bind(Statement& statement, int parameter, const std::string& bytes) {
  sqlite3_bind_blob(statement.get(), parameter, bytes.data(),
                    static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
}

void Bind(Statement& statement, int parameter, int64_t value) {
  sqlite3_bind_int64(statement.get(), parameter, value);
}

std::string Bytes(Statement& statement, int column) {
  const void* data = sqlite3_column_blob(statement.get(), column);
  const int size = sqlite3_column_bytes(statement.get(), column);
  return data == nullptr ? std::string()
                         : std::string(static_cast<const char*>(data),
                                       static_cast<size_t>(size));
}

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImageDatabase>> ImageDatabase::Open(
    const std::string& path) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &raw,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  std::unique_ptr<ImageDatabase> database(new ImageDatabase(raw));
  if (opened != SQLITE_OK) {
    return Failure(raw, absl::StrCat("open ", path));
  }
  RETURN_IF_ERROR(Annotate(database->Execute(kSchema), path));
  return database;
}

ImageDatabase::~ImageDatabase() { sqlite3_close(database_); }

absl::Status ImageDatabase::Execute(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Failure(database_, "change database");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Image>> ImageDatabase::Images() {
  ASSIGN_OR_RETURN(
      Statement rows,
      Prepare(database_, "SELECT id, tags, digests, config FROM images"));
  std::vector<Image> images;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, Step(database_, rows));
    if (!more) {
      return images;
    }
    Image image;
    image.id = Bytes(rows, 0);
    image.repo_tags = Lines(Bytes(rows, 1));
    image.repo_digests = Lines(Bytes(rows, 2));
    absl::StatusOr<ParsedConfig> config = ParseConfig(Bytes(rows, 3));
    if (!config.ok()) {
      LogError(absl::StrCat("load image ", image.id, ": damaged, left out: ",
                            config.status().message()));
      continue;
    }
    image.config = std::move(config->config);
    image.layers = std::move(config->diff_ids);
    images.push_back(std::move(image));
  }
}

absl::StatusOr<std::vector<LayerRecord>> ImageDatabase::Layers() {
  ASSIGN_OR_RETURN(Statement rows, Prepare(database_, "SELECT * FROM layers"));
  std::vector<LayerRecord> layers;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, Step(database_, rows));
    if (!more) {
      return layers;
    }
    const auto number = [&](int column) {
      return sqlite3_column_int64(rows.get(), column);
    };
    LayerRecord layer;
    layer.diff_id = Bytes(rows, 0);
    layer.file_bytes = static_cast<uint64_t>(number(1));
    layer.highest_id = static_cast<uint32_t>(number(2));
    layer.has_passwd = number(3) != 0;
    layer.passwd = Bytes(rows, 4);
    layer.removes_passwd = number(5) != 0;
    layer.has_group = number(6) != 0;
    layer.group = Bytes(rows, 7);
    layer.removes_group = number(8) != 0;
    layers.push_back(std::move(layer));
  }
}

absl::Status ImageDatabase::PutImage(const Image& image) {
  ASSIGN_OR_RETURN(
      Statement put,
      Prepare(database_, "INSERT OR REPLACE INTO images VALUES(?, ?, ?, ?)"));
  Bind(put, 1, image.id);
  Bind(put, 2, absl::StrJoin(image.repo_tags, "\n"));
  Bind(put, 3, absl::StrJoin(image.repo_digests, "\n"));
  Bind(put, 4, image.config.json);
  return Step(database_, put).status();
}

absl::Status ImageDatabase::RemoveImage(const std::string& id) {
  ASSIGN_OR_RETURN(Statement remove,
                   Prepare(database_, "DELETE FROM images WHERE id = ?"));
  Bind(remove, 1, id);
  return Step(database_, remove).status();
}

absl::Status ImageDatabase::PutLayer(const LayerRecord& layer) {
  ASSIGN_OR_RETURN(Statement put,
                   Prepare(database_,
                           "INSERT OR REPLACE INTO layers VALUES"
                           "(?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  Bind(put, 1, layer.diff_id);
  Bind(put, 2, static_cast<int64_t>(layer.file_bytes));
  Bind(put, 3, int64_t{layer.highest_id});
  Bind(put, 4, int64_t{layer.has_passwd});
  Bind(put, 5, layer.passwd);
  Bind(put, 6, int64_t{layer.removes_passwd});
  Bind(put, 7, int64_t{layer.has_group});
  Bind(put, 8, layer.group);
  Bind(put, 9, int64_t{layer.removes_group});
  return Step(database_, put).status();
}

absl::Status ImageDatabase::RemoveLayer(const std::string& diff_id) {
  ASSIGN_OR_RETURN(Statement remove,
                   Prepare(database_, "DELETE FROM layers WHERE diff_id = ?"));
  Bind(remove, 1, diff_id);
  return Step(database_, remove).status();
}

}  // namespace caisson::image
