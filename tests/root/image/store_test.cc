#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/image/image_db.h"
#include "runtime/image/sha256.h"
#include "tests/root/image/registry.h"

namespace caisson::image {
namespace {

using caisson::testing::Shell;
using caisson::testing::ShellOutput;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(ImageTest, FindsByIdPrefixNameAndDigest) {
  Redirect("docker.io", "http://" + registry_->address());
  const std::string digest =
      Push("library/box:latest", {MakeLayer("layer", "echo a > a")}, "");
  const auto id = Pull("box");
  ASSERT_TRUE(id.ok()) << id.status();
  const std::string hex = id->substr(7);
  for (const std::string& name :
       {*id, hex, hex.substr(0, 12), hex.substr(0, 3), std::string("box"),
        std::string("box:latest"), std::string("docker.io/library/box"),
        "box@" + digest}) {
    EXPECT_TRUE(store_->Find(name).ok()) << name;
  }
  EXPECT_EQ(store_->Find("box")->repo_tags.front(),
            "docker.io/library/box:latest");
  for (const std::string& name :
       {hex.substr(0, 2), std::string("box:v2"), std::string(""),
        "sha256:" + std::string(64, '0')}) {
    EXPECT_EQ(store_->Find(name).status().code(), absl::StatusCode::kNotFound)
        << name;
  }
}

// An answer of OK to the removal of nothing would be a lie.
TEST_F(ImageTest, APrefixOfSeveralImagesIsRefused) {
  store_.reset();
  std::map<std::string, std::string> seen;  // three digits -> configuration
  std::vector<ImageRecord> records;
  std::string prefix;
  for (int i = 0; records.empty(); ++i) {
    const std::string config = absl::StrCat(
        R"({"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[]},"x":)",
        i, "}");
    prefix = Sha256Digest(config).substr(7, 3);
    if (const auto [other, fresh] = seen.emplace(prefix, config); !fresh) {
      for (const std::string& each : {config, other->second}) {
        records.emplace_back().id = Sha256Digest(each);
        records.back().config = each;
      }
    }
  }
  {
    const auto db = ImageDb::Open(directory_.path() + "/store/images.db");
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_TRUE((*db)->PutImages(records).ok());
  }
  OpenStore();
  ASSERT_THAT(store_->List(), SizeIs(2));
  EXPECT_EQ(store_->Find(prefix).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Remove(prefix).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(store_->List(), SizeIs(2));
  EXPECT_TRUE(store_->Remove(records[0].id).ok());
  EXPECT_TRUE(store_->Remove(prefix).ok());
  EXPECT_THAT(store_->List(), IsEmpty());
}

TEST_F(ImageTest, RemoveTakesTheUnsharedLayersAndTheirMounts) {
  const std::string shared = MakeLayer("shared", "echo s > s");
  Push("a:v1", {shared, MakeLayer("own", "echo o > o")}, "");
  Push("b:v1", {shared}, "");
  const auto a = Pull(At("a:v1"));
  const auto b = Pull(At("b:v1"));
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_TRUE(store_->MountLayers(*a).ok());
  EXPECT_EQ(Mounts(), 2);
  ASSERT_TRUE(store_->Remove(At("a:v1")).ok());
  EXPECT_EQ(Mounts(), 1);
  EXPECT_EQ(LayerFiles(), 1);
  EXPECT_THAT(store_->List(), SizeIs(1));
  EXPECT_TRUE(store_->Remove(At("a:v1")).ok());
  ASSERT_TRUE(store_->Remove(*b).ok());
  EXPECT_EQ(LayerFiles(), 0);
  EXPECT_EQ(Mounts(), 0);
}

TEST_F(ImageTest, RemovedImageInUseKeepsItsLayersUntilTheLastRelease) {
  Push("a:v1", {MakeLayer("layer", "echo a > a")}, "");
  const auto id = Pull(At("a:v1"));
  ASSERT_TRUE(id.ok());
  ASSERT_TRUE(store_->Hold(*id).ok());
  ASSERT_TRUE(store_->Hold(*id).ok());
  ASSERT_TRUE(store_->Remove(*id).ok());
  EXPECT_THAT(store_->List(), IsEmpty());
  EXPECT_EQ(LayerFiles(), 1);
  store_->Release(*id);
  EXPECT_EQ(LayerFiles(), 1);
  // It may come back while it is in use.
  ASSERT_TRUE(Pull(At("a:v1")).ok());
  store_->Release(*id);
  EXPECT_THAT(store_->List(), SizeIs(1));
  EXPECT_EQ(LayerFiles(), 1);
  ASSERT_TRUE(store_->Remove(*id).ok());
  EXPECT_EQ(LayerFiles(), 0);
}

TEST_F(ImageTest, SurvivesARestartWithItsMounts) {
  Push("a:v1", {MakeLayer("layer", "mkdir etc; echo g:x:1: > etc/group")}, "");
  const auto id = Pull(At("a:v1"));
  ASSERT_TRUE(id.ok());
  const auto before = store_->MountLayers(*id);
  const Image image = *store_->Find(*id);
  OpenStore();
  ASSERT_THAT(store_->List(), SizeIs(1));
  const Image again = store_->List().front();
  EXPECT_EQ(again.repo_tags, image.repo_tags);
  EXPECT_EQ(again.size, image.size);
  EXPECT_EQ(again.layers, image.layers);
  EXPECT_EQ(store_->Users(*id)->group, "g:x:1:\n");
  EXPECT_EQ(*store_->MountLayers(*id), *before);
  EXPECT_EQ(Mounts(), 1);
  ASSERT_TRUE(store_->UnmountAll().ok());
  EXPECT_EQ(Mounts(), 0);
  ASSERT_TRUE(store_->MountLayers(*id).ok());
  EXPECT_EQ(Mounts(), 1);
}

TEST_F(ImageTest, OpenSweepsWhatNoRecordOwns) {
  Push("a:v1", {MakeLayer("layer", "echo a > a")}, "");
  const auto id = Pull(At("a:v1"));
  ASSERT_TRUE(id.ok());
  ASSERT_TRUE(store_->MountLayers(*id).ok());
  const std::string layers = directory_.path() + "/store/layers";
  Shell(absl::StrCat("cd ", layers, "; echo > staging/left; echo > ",
                     std::string(64, 'a'), ".erofs"));
  OpenStore();
  EXPECT_EQ(StagingFiles(), 0);
  EXPECT_EQ(LayerFiles(), 1);
  // An image whose layer has gone is no image any more; a pull mends it.
  Shell(absl::StrCat("rm ", layers, "/*.erofs"));
  OpenStore();
  EXPECT_THAT(store_->List(), IsEmpty());
  EXPECT_EQ(Mounts(), 0);
  EXPECT_TRUE(Pull(At("a:v1")).ok());
}

TEST_F(ImageTest, DamagedRecordsAreSetAside) {
  Push("a:v1", {MakeLayer("layer", "echo a > a")}, "");
  ASSERT_TRUE(Pull(At("a:v1")).ok());
  store_.reset();
  const std::string db = directory_.path() + "/store/images.db";
  Shell(absl::StrCat("rm -f ", db, "-wal ", db,
                     "-shm; "
                     "head -c 20000 /dev/urandom > ",
                     db));
  OpenStore();
  ASSERT_NE(store_, nullptr);
  EXPECT_THAT(store_->List(), IsEmpty());
  EXPECT_TRUE(Pull(At("a:v1")).ok());
}

TEST_F(ImageTest, LayerThatOccursTwiceIsMountedOnce) {
  const std::string one = MakeLayer("one", "echo 1 > a");
  const std::string two = MakeLayer("two", "echo 2 > a");
  Push("a:v1", {one, two, one}, "");
  const auto id = Pull(At("a:v1"));
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_THAT(store_->Find(*id)->layers, SizeIs(3));
  // Overlayfs refuses the same directory twice.
  EXPECT_THAT(*store_->MountLayers(*id), SizeIs(2));
}

TEST_F(ImageTest, UsersAreThoseOfTheTopmostLayerThatSays) {
  const std::string base = MakeLayer(
      "base", "mkdir etc; echo low > etc/passwd; echo low > etc/group");
  const std::string top = MakeLayer(
      "top", "mkdir etc; echo high > etc/passwd; touch etc/.wh.group");
  Push("a:v1", {base, top}, "");
  const auto id = Pull(At("a:v1"));
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(store_->Users(*id)->passwd, "high\n");
  EXPECT_EQ(store_->Users(*id)->group, "");
}

TEST_F(ImageTest, UsageCountsLayers) {
  Push("a:v1", {MakeLayer("layer", "head -c 1000000 /dev/urandom > a")}, "");
  ASSERT_TRUE(Pull(At("a:v1")).ok());
  const auto usage = store_->Usage();
  ASSERT_TRUE(usage.ok());
  EXPECT_GE(usage->used_bytes, 1000000u);
  EXPECT_GE(usage->inodes_used, 1u);
}

}  // namespace
}  // namespace caisson::image
