// Registries that serve something else than they should.

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/root/image/registry.h"

namespace caisson::image {
namespace {

using caisson::testing::ReadFile;
using caisson::testing::Shell;
using caisson::testing::ShellOutput;
using ::testing::IsEmpty;

// The digest at a jq-like path of a manifest.
std::string DigestIn(const std::string& manifest, const std::string& path) {
  return ShellOutput(
      absl::StrCat("python3 -c \"import json; print(json.load(open('", manifest,
                   "'))", path, ")\""));
}

TEST_F(ImageTest, CorruptedLayerIsDataLossAndLeavesNothing) {
  const std::string good = MakeLayer("good", "echo good > good");
  const std::string bad = MakeLayer("bad", "head -c 300000 /dev/urandom > bad");
  const std::string digest = Push("test:v1", {good, bad}, "");
  const std::string blob =
      BlobFile(DigestIn(BlobFile(digest), "['layers'][1]['digest']"));
  for (const char* damage :
       {// In the middle, where only the digest or the checksum tells.
        "printf XXXX | dd of=$F bs=1 seek=100000 conv=notrunc 2>/dev/null",
        "truncate -s 200000 $F", "echo junk >> $F"}) {
    Shell(
        absl::StrCat("cp ", blob, " ", blob, ".kept; F=", blob, "; ", damage));
    const auto id = Pull(At("test:v1"));
    EXPECT_EQ(id.status().code(), absl::StatusCode::kDataLoss)
        << damage << ": " << id.status();
    EXPECT_EQ(LayerFiles(), 0) << damage;
    EXPECT_EQ(StagingFiles(), 0) << damage;
    EXPECT_THAT(store_->List(), IsEmpty()) << damage;
    Shell(absl::StrCat("mv ", blob, ".kept ", blob));
  }
  EXPECT_TRUE(Pull(At("test:v1")).ok());
}

TEST_F(ImageTest, CorruptedConfigIsDataLoss) {
  const std::string digest =
      Push("test:v1", {MakeLayer("layer", "echo a > a")}, "");
  const std::string blob =
      BlobFile(DigestIn(BlobFile(digest), "['config']['digest']"));
  Shell(absl::StrCat("sed -i s/linux/Linux/ ", blob));
  EXPECT_EQ(Pull(At("test:v1")).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ImageTest, MissingBlobIsNotFound) {
  const std::string digest =
      Push("test:v1", {MakeLayer("layer", "echo a > a")}, "");
  Shell("rm " +
        BlobFile(DigestIn(BlobFile(digest), "['layers'][0]['digest']")));
  EXPECT_EQ(Pull(At("test:v1")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LayerFiles(), 0);
}

TEST_F(ImageTest, IndexWithoutThisMachineIsNotFound) {
  Push("test:v1", {MakeLayer("layer", "echo a > a")},
       "--index --platform linux/riscv64");
  EXPECT_EQ(Pull(At("test:v1")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ImageTest, ImageOfAnotherMachineIsRefused) {
  Push("test:v1", {MakeLayer("layer", "echo a > a")},
       "--platform linux/riscv64");
  EXPECT_FALSE(Pull(At("test:v1")).ok());
}

}  // namespace
}  // namespace caisson::image
