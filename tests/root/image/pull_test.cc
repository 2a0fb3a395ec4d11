#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/root/image/registry.h"

namespace caisson::image {
namespace {

using caisson::testing::ReadFile;
using caisson::testing::Shell;
using caisson::testing::ShellOutput;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(ImageTest, PullsByTagAndMountsWhatWasPushed) {
  const std::string base =
      MakeLayer("base",
                "mkdir etc && echo root:x:0:0::/root:/bin/sh > etc/passwd &&"
                "chown 1234:5678 etc && echo low > file");
  const std::string top = MakeLayer("top", "echo high > file");
  const std::string digest =
      Push("test/image:v1", {base, top},
           R"(--config '{"User": "7", "Cmd": ["/x"], "Env": ["A=b"]}')");
  const auto id = Pull(At("test/image:v1"));
  ASSERT_TRUE(id.ok()) << id.status();

  const auto image = store_->Find(At("test/image:v1"));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->id, *id);
  EXPECT_THAT(image->repo_tags, ElementsAre(At("test/image:v1")));
  EXPECT_THAT(image->repo_digests, ElementsAre(At("test/image@" + digest)));
  EXPECT_EQ(image->config.user, "7");
  EXPECT_THAT(image->config.command, ElementsAre("/x"));
  EXPECT_THAT(image->config.env, ElementsAre("A=b"));
  EXPECT_THAT(image->layers, SizeIs(2));
  EXPECT_EQ(image->highest_id, 5678u);
  EXPECT_GT(image->size, 0u);
  EXPECT_EQ(store_->Users(*id)->passwd, "root:x:0:0::/root:/bin/sh\n");

  const auto mounts = store_->MountLayers(*id);
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  ASSERT_THAT(*mounts, SizeIs(2));
  EXPECT_EQ(ReadFile((*mounts)[0] + "/file"), "high\n");
  EXPECT_EQ(ReadFile((*mounts)[1] + "/file"), "low\n");
  EXPECT_EQ(ShellOutput("stat -c %u:%g " + (*mounts)[1] + "/etc"), "1234:5678");
  EXPECT_EQ(StagingFiles(), 0);
}

TEST_F(ImageTest, PullsEveryKindOfManifestAndCompression) {
  const std::string layer = MakeLayer("layer", "echo hello > file");
  Shell("zstd -q " + layer);
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {layer, "--index"},
      {layer, "--schema2"},
      {layer, "--schema2 --index"},
      {layer, "--plain"},
      {layer + ".zst", ""}};
  for (const auto& [file, options] : kinds) {
    const std::string digest = Push("kind:v1", {file}, options);
    const auto id = Pull(At("kind:v1"));
    ASSERT_TRUE(id.ok()) << options << ": " << id.status();
    EXPECT_TRUE(store_->Find(At("kind@" + digest)).ok()) << options;
    const auto mounts = store_->MountLayers(*id);
    ASSERT_TRUE(mounts.ok()) << mounts.status();
    EXPECT_EQ(ReadFile(mounts->front() + "/file"), "hello\n") << options;
  }
  // The layer's content is the same in all.
  EXPECT_EQ(LayerFiles(), 1);
}

TEST_F(ImageTest, PullByDigestGivesNoTag) {
  const std::string digest =
      Push("test:v1", {MakeLayer("layer", "echo a > a")}, "");
  const auto id = Pull(At("test@" + digest));
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_THAT(store_->Find(*id)->repo_tags, IsEmpty());
  EXPECT_THAT(store_->Find(*id)->repo_digests,
              ElementsAre(At("test@" + digest)));
  EXPECT_EQ(store_->Find(At("test:v1")).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ImageTest, TagThatMovedLeavesTheOldImageWithoutIt) {
  Push("test:v1", {MakeLayer("one", "echo 1 > a")}, "");
  const auto old_id = Pull(At("test:v1"));
  Push("test:v1", {MakeLayer("two", "echo 2 > a")}, "");
  const auto new_id = Pull(At("test:v1"));
  ASSERT_TRUE(old_id.ok() && new_id.ok());
  ASSERT_NE(*old_id, *new_id);
  EXPECT_EQ(store_->Find(At("test:v1"))->id, *new_id);
  EXPECT_THAT(store_->Find(*old_id)->repo_tags, IsEmpty());
  EXPECT_THAT(store_->Find(*old_id)->repo_digests, SizeIs(1));
}

TEST_F(ImageTest, PullsOfOneImageJoinAndOfSharedLayersFetchOnce) {
  const std::string shared =
      MakeLayer("shared", "head -c 30000000 /dev/urandom > big");
  const std::string own = MakeLayer("own", "echo own > own");
  Push("a:v1", {shared}, "");
  Push("b:v1", {shared, own}, "");
  std::vector<std::thread> threads;
  std::vector<absl::StatusOr<std::string>> results(6);
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back(
        [&, i] { results[i] = Pull(At(i % 2 == 0 ? "a:v1" : "b:v1")); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const auto& result : results) {
    ASSERT_TRUE(result.ok()) << result.status();
  }
  EXPECT_EQ(*results[0], *results[2]);
  EXPECT_EQ(LayerFiles(), 2);
  EXPECT_EQ(StagingFiles(), 0);
  EXPECT_THAT(store_->List(), SizeIs(2));
}

TEST_F(ImageTest, SilentRegistryHoldsUpNobodyElse) {
  SilentServer silent;
  Redirect("silent.test", silent.url());
  Push("good:v1", {MakeLayer("layer", "echo a > a")}, "");
  absl::StatusOr<std::string> stuck;
  std::thread waiting([&] { stuck = Pull("silent.test/x:v1"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(Pull(At("good:v1")).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  silent.Close();
  waiting.join();
  EXPECT_EQ(stuck.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(stuck.status().message()), HasSubstr(silent.url()));
}

TEST_F(ImageTest, FailuresSayWhatAndWhere) {
  const auto missing = Pull(At("nothing:here"));
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()),
              HasSubstr(At("nothing:here")));
  const auto closed = Pull("127.0.0.1:1/x:y");
  EXPECT_EQ(closed.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(closed.status().message()), HasSubstr("127.0.0.1:1"));
  EXPECT_EQ(Pull("UPPER CASE").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(store_->List(), IsEmpty());
}

TEST_F(ImageTest, SendsThePasswordToTheRegistryThatAsks) {
  Push("secret:v1", {MakeLayer("layer", "echo a > a")}, "");
  const std::string users = directory_.path() + "/htpasswd";
  Shell(
      "python3 -c 'import crypt; print(\"me:\" + crypt.crypt(\"pass\", "
      "crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' 2>/dev/null > " +
      users);
  const Registry locked(
      directory_.path() + "/blobs",
      absl::StrCat("auth: {htpasswd: {realm: test, path: ", users, "}}\n"));
  const std::string name = locked.address() + "/secret:v1";
  Credentials credentials;
  EXPECT_EQ(Pull(name, credentials).status().code(),
            absl::StatusCode::kUnauthenticated);
  credentials.username = "me";
  credentials.password = "wrong";
  const auto refused = Pull(name, credentials);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_FALSE(absl::StrContains(refused.status().message(), "wrong"));
  credentials.password = "pass";
  const auto id = Pull(name, credentials);
  EXPECT_TRUE(id.ok()) << id.status();
  // What is here is no answer for somebody who may not have it.
  EXPECT_EQ(Pull(name).status().code(), absl::StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace caisson::image
