#include "runtime/image/image_db.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/machine.h"

namespace caisson::image {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ImageDbTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    db_.reset();
    absl::StatusOr<std::unique_ptr<ImageDb>> db = ImageDb::Open(path_);
    ASSERT_TRUE(db.ok()) << db.status();
    db_ = *std::move(db);
  }

  // Runs SQL beside the open database.
  void Run(const std::string& sql) {
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &raw), SQLITE_OK);
    char* error = nullptr;
    sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, &error);
    EXPECT_EQ(error, nullptr) << error;
    sqlite3_free(error);
    sqlite3_close(raw);
  }

  size_t SetAside() {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(directory_.path())) {
      count +=
          entry.path().string().find(".damaged-") == std::string::npos ? 0 : 1;
    }
    return count;
  }

  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    absl::StatusOr<std::vector<ImageRecord>> images = db_->ListImages();
    EXPECT_TRUE(images.ok()) << images.status();
    for (const ImageRecord& image : *images) {
      ids.push_back(image.id);
    }
    return ids;
  }

  ::caisson::testing::TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/images.db";
  std::unique_ptr<ImageDb> db_;
};

ImageRecord MakeImage(const std::string& id) {
  ImageRecord image;
  image.id = id;
  image.repo_tags = {"docker.io/library/a:1", "docker.io/library/a:2"};
  image.repo_digests = {"docker.io/library/a@sha256:1"};
  image.config = std::string("{\"a\": \0}", 8);
  image.users.passwd = "root:x:0:0\n";
  image.users.group = std::string("\xff\0x", 3);
  return image;
}

TEST_F(ImageDbTest, RecordsAreTheSameAfterReopening) {
  ASSERT_TRUE(db_->PutImages({MakeImage("one")}).ok());
  LayerRecord layer;
  layer.diff_id = "sha256:l";
  layer.file_bytes = uint64_t{1} << 40;
  layer.highest_id = 2147483647;
  layer.passwd.content = std::string("a\0b", 3);
  layer.group.removed = true;
  ASSERT_TRUE(db_->PutLayer(layer).ok());
  Open();
  const std::vector<ImageRecord> images = *db_->ListImages();
  ASSERT_EQ(images.size(), 1u);
  const ImageRecord wanted = MakeImage("one");
  EXPECT_EQ(images[0].id, wanted.id);
  EXPECT_EQ(images[0].repo_tags, wanted.repo_tags);
  EXPECT_EQ(images[0].repo_digests, wanted.repo_digests);
  EXPECT_EQ(images[0].config, wanted.config);
  EXPECT_EQ(images[0].users.passwd, wanted.users.passwd);
  EXPECT_EQ(images[0].users.group, wanted.users.group);
  const absl::StatusOr<LayerRecord> read = db_->GetLayer("sha256:l");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->file_bytes, layer.file_bytes);
  EXPECT_EQ(read->highest_id, layer.highest_id);
  EXPECT_EQ(read->passwd.content, layer.passwd.content);
  EXPECT_FALSE(read->passwd.removed);
  EXPECT_FALSE(read->group.content.has_value());
  EXPECT_TRUE(read->group.removed);
}

TEST_F(ImageDbTest, ImageIsReplacedByItsId) {
  ImageRecord image = MakeImage("one");
  ASSERT_TRUE(db_->PutImages({image}).ok());
  image.repo_tags.clear();
  ASSERT_TRUE(db_->PutImages({image, MakeImage("two")}).ok());
  EXPECT_THAT(Ids(), ElementsAre("one", "two"));
  EXPECT_THAT((*db_->ListImages())[0].repo_tags, IsEmpty());
  ASSERT_TRUE(db_->DeleteImage("one").ok());
  ASSERT_TRUE(db_->DeleteImage("one").ok());
  EXPECT_THAT(Ids(), ElementsAre("two"));
}

TEST_F(ImageDbTest, PutWritesAllImagesOrNone) {
  ASSERT_TRUE(db_->PutImages({MakeImage("old")}).ok());
  Run("CREATE TRIGGER t BEFORE INSERT ON images WHEN NEW.id = x'626164' "
      "BEGIN SELECT RAISE(ABORT, 'no'); END");
  ASSERT_FALSE(db_->PutImages({MakeImage("new"), MakeImage("bad")}).ok());
  EXPECT_THAT(Ids(), ElementsAre("old"));
  // The failure left no transaction open.
  EXPECT_TRUE(db_->PutImages({MakeImage("new")}).ok());
  Open();
  EXPECT_THAT(Ids(), ElementsAre("new", "old"));
}

TEST_F(ImageDbTest, DamagedRecordIsSetAsideWithTheReason) {
  ASSERT_TRUE(db_->PutImages({MakeImage("bad"), MakeImage("good")}).ok());
  ASSERT_TRUE(db_->SetImageAside("bad", "config is not json").ok());
  EXPECT_THAT(Ids(), ElementsAre("good"));
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &raw), SQLITE_OK);
  sqlite3_stmt* row = nullptr;
  sqlite3_prepare_v2(raw, "SELECT id, reason FROM damaged_images", -1, &row,
                     nullptr);
  ASSERT_EQ(sqlite3_step(row), SQLITE_ROW);
  EXPECT_STREQ(reinterpret_cast<const char*>(sqlite3_column_text(row, 0)),
               "bad");
  EXPECT_STREQ(reinterpret_cast<const char*>(sqlite3_column_text(row, 1)),
               "config is not json");
  sqlite3_finalize(row);
  sqlite3_close(raw);
}

TEST_F(ImageDbTest, LayersAreListedAndDeleted) {
  for (const char* id : {"b", "a"}) {
    LayerRecord layer;
    layer.diff_id = id;
    layer.passwd.content = "x";
    ASSERT_TRUE(db_->PutLayer(layer).ok());
  }
  ASSERT_TRUE(db_->DeleteLayer("a").ok());
  const std::vector<LayerRecord> layers = *db_->ListLayers();
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].diff_id, "b");
  EXPECT_FALSE(layers[0].passwd.content.has_value());
  EXPECT_FALSE(db_->GetLayer("a").ok());
}

TEST_F(ImageDbTest, FileThatIsNoDatabaseIsSetAside) {
  db_.reset();
  std::filesystem::remove(path_ + "-wal");
  std::ofstream(path_) << std::string(8192, 'x');
  Open();
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_EQ(SetAside(), 1u);
  EXPECT_TRUE(db_->PutImages({MakeImage("one")}).ok());
}

TEST_F(ImageDbTest, DamagedPageIsNoticedAndTheFileSetAside) {
  std::vector<ImageRecord> images;
  for (int i = 0; i < 200; ++i) {
    images.push_back(MakeImage(std::to_string(i)));
    images.back().config = std::string(2000, 'c');
  }
  ASSERT_TRUE(db_->PutImages(images).ok());
  db_.reset();
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  for (const int page : {1, 2, 3, 5, 8, 13, 21}) {
    file.seekp(page * 4096);
    file << std::string(4096, '\xa5');
  }
  file.close();
  Open();
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_EQ(SetAside(), 1u);
}

TEST_F(ImageDbTest, DatabaseOfANewerVersionIsRefusedAndKept) {
  ASSERT_TRUE(db_->PutImages({MakeImage("one")}).ok());
  Run("PRAGMA user_version = 999");
  db_.reset();
  EXPECT_TRUE(absl::IsFailedPrecondition(ImageDb::Open(path_).status()));
  EXPECT_EQ(SetAside(), 0u);
  Run("PRAGMA user_version = 1");
  Open();
  EXPECT_THAT(Ids(), ElementsAre("one"));
}

TEST_F(ImageDbTest, DatabaseOfAnOlderVersionIsSetAside) {
  ASSERT_TRUE(db_->PutImages({MakeImage("one")}).ok());
  Run("PRAGMA user_version = 0");
  Open();
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_EQ(SetAside(), 1u);
}

TEST_F(ImageDbTest, DirectoryThatIsNotThereIsAnError) {
  const absl::StatusOr<std::unique_ptr<ImageDb>> db =
      ImageDb::Open(directory_.path() + "/nosuch/images.db");
  EXPECT_FALSE(db.ok());
  EXPECT_THAT(std::string(db.status().message()),
              ::testing::HasSubstr("/nosuch/images.db"));
}

}  // namespace
}  // namespace caisson::image
