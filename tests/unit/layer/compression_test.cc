#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/image/sha256.h"
#include "tests/unit/layer/layer_fixture.h"

namespace caisson::image {
namespace {

class CompressionTest : public LayerTest {
 protected:
  void SetUp() override {
    std::string content(300000, '\0');
    for (size_t i = 0; i < content.size(); ++i) {
      content[i] = static_cast<char>(i * i >> 3);
    }
    tar_ = Tar({{"f", '0', content}});
  }

  absl::StatusCode CodeOf(const std::string& stream, Compression compression) {
    return Convert(stream, compression).status().code();
  }

  std::string tar_;
};

TEST_F(CompressionTest, EveryFormGivesTheSameLayer) {
  for (const size_t step : {size_t{1} << 20, size_t{1000}, size_t{1}}) {
    const absl::StatusOr<LayerResult> plain =
        Convert(tar_, Compression::kNone, step);
    ASSERT_TRUE(plain.ok()) << plain.status();
    EXPECT_EQ(plain->diff_id, Sha256Digest(tar_));
    const absl::StatusOr<LayerResult> gzip =
        Convert(GzipOf(tar_), Compression::kGzip, step);
    ASSERT_TRUE(gzip.ok()) << gzip.status();
    EXPECT_EQ(gzip->diff_id, Sha256Digest(tar_));
    const absl::StatusOr<LayerResult> zstd =
        Convert(ZstdOf(tar_), Compression::kZstd, step);
    ASSERT_TRUE(zstd.ok()) << zstd.status();
    EXPECT_EQ(zstd->diff_id, Sha256Digest(tar_));
  }
}

TEST_F(CompressionTest, MembersOfOneStreamFollowEachOther) {
  const std::string gzip =
      GzipOf(tar_.substr(0, 1000)) + GzipOf("") + GzipOf(tar_.substr(1000));
  EXPECT_EQ(Convert(gzip, Compression::kGzip)->diff_id, Sha256Digest(tar_));
  const std::string zstd =
      ZstdOf(tar_.substr(0, 1000)) + ZstdOf(tar_.substr(1000));
  EXPECT_EQ(Convert(zstd, Compression::kZstd)->diff_id, Sha256Digest(tar_));
}

TEST_F(CompressionTest, CutStreamsAreFound) {
  const std::string gzip = GzipOf(tar_);
  const std::string zstd = ZstdOf(tar_);
  for (const size_t cut : {1, 4, 8, 9, 1000}) {
    EXPECT_EQ(CodeOf(gzip.substr(0, gzip.size() - cut), Compression::kGzip),
              absl::StatusCode::kDataLoss)
        << cut;
    EXPECT_EQ(CodeOf(zstd.substr(0, zstd.size() - cut), Compression::kZstd),
              absl::StatusCode::kDataLoss)
        << cut;
  }
  for (const size_t size : {1, 2, 9, 10, 17}) {
    EXPECT_EQ(CodeOf(gzip.substr(0, size), Compression::kGzip),
              absl::StatusCode::kDataLoss)
        << size;
  }
}

TEST_F(CompressionTest, BadChecksumAndLengthAreFound) {
  for (const size_t from_end : {8, 5, 4, 1}) {
    std::string gzip = GzipOf(tar_);
    char& byte = gzip[gzip.size() - from_end];
    byte = static_cast<char>(byte ^ 1);
    EXPECT_EQ(CodeOf(gzip, Compression::kGzip), absl::StatusCode::kDataLoss)
        << from_end;
  }
}

TEST_F(CompressionTest, StreamOfAnotherFormIsFound) {
  EXPECT_EQ(CodeOf(tar_, Compression::kGzip), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(tar_, Compression::kZstd), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(ZstdOf(tar_), Compression::kGzip),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(GzipOf(tar_), Compression::kNone),
            absl::StatusCode::kDataLoss);
}

TEST_F(CompressionTest, JunkBehindTheStreamIsFound) {
  EXPECT_EQ(CodeOf(GzipOf(tar_) + "junk", Compression::kGzip),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(ZstdOf(tar_) + "junk", Compression::kZstd),
            absl::StatusCode::kDataLoss);
}

TEST_F(CompressionTest, BombIsStoppedAtTheLimit) {
  limits.max_bytes = 1 << 20;
  const std::string bomb = Tar({{"f", '0', std::string(64 << 20, '\0')}});
  EXPECT_EQ(CodeOf(GzipOf(bomb), Compression::kGzip),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(ZstdOf(bomb), Compression::kZstd),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(CompressionTest, FailureOfTheSourceIsHandedOn) {
  class Failing : public ByteSource {
   public:
    absl::StatusOr<size_t> Read(char*, size_t) override {
      return absl::UnavailableError("connection lost");
    }
  };

  for (const Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    Failing source;
    ASSERT_TRUE(Convert(tar_).ok());
    const absl::Status status =
        ConvertLayer(source, compression, out.get(), limits).status();
    EXPECT_EQ(status, absl::UnavailableError("connection lost"));
  }
}

}  // namespace
}  // namespace caisson::image
