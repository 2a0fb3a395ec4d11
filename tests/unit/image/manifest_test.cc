#include "runtime/image/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace caisson::image {
namespace {

using ::testing::HasSubstr;

constexpr char kDigest[] =
    "sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::string Text(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ",
                      status.message());
}

// D stands for the digest.
std::string WithDigest(absl::string_view json) {
  return absl::StrReplaceAll(json, {{"'", "\""}, {"DIGEST", kDigest}});
}

TEST(ManifestTest, ConfigAndLayersAreRead) {
  const absl::StatusOr<Manifest> manifest = ParseManifest(WithDigest(
      "{'config': {'digest': 'DIGEST', 'size': 7}, 'layers': ["
      "{'digest': 'DIGEST', 'size': 1, 'mediaType':"
      " 'application/vnd.oci.image.layer.v1.tar+gzip'},"
      "{'digest': 'DIGEST', 'size': 2, 'mediaType':"
      " 'application/vnd.docker.image.rootfs.diff.tar.gzip'},"
      "{'digest': 'DIGEST', 'size': 3, 'mediaType':"
      " 'application/vnd.oci.image.layer.v1.tar+zstd'},"
      "{'digest': 'DIGEST', 'size': 9223372036854775807, 'mediaType':"
      " 'application/vnd.oci.image.layer.v1.tar'}]}"));
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->config_digest, kDigest);
  EXPECT_EQ(manifest->config_size, 7u);
  EXPECT_EQ(manifest->platform_manifest, "");
  ASSERT_EQ(manifest->layers.size(), 4u);
  EXPECT_EQ(manifest->layers[0].compression, Compression::kGzip);
  EXPECT_EQ(manifest->layers[1].compression, Compression::kGzip);
  EXPECT_EQ(manifest->layers[2].compression, Compression::kZstd);
  EXPECT_EQ(manifest->layers[3].compression, Compression::kNone);
  EXPECT_EQ(manifest->layers[3].size, uint64_t{INT64_MAX});
}

TEST(ManifestTest, IndexNamesTheManifestOfThisMachine) {
  const absl::StatusOr<Manifest> manifest = ParseManifest(
      WithDigest("{'manifests': [1, null, {}, {'platform': 5},"
                 "{'platform': {'os': 'windows', 'architecture': 'amd64'}},"
                 "{'platform': {'os': 'linux', 'architecture': 's390x'}},"
                 "{'digest': 'DIGEST', 'platform':"
                 " {'os': 'linux', 'architecture': 'amd64'}}]}"));
#if defined(__x86_64__)
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->platform_manifest, kDigest);
#endif
  EXPECT_EQ(ParseManifest("{\"manifests\": []}").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ManifestTest, WhatIsNoManifestIsRefused) {
  struct Row {
    const char* json;
    const char* message;
  };

  const Row rows[] = {
      {"", "parse manifest: not valid json"},
      {"{", "parse manifest: not valid json"},
      {"[]", "either manifests or layers"},
      {"5", "either manifests or layers"},
      {"{}", "either manifests or layers"},
      {"{'layers': null}", "either manifests or layers"},
      // CVE-2021-41190.
      {"{'layers': [], 'manifests': []}", "either manifests or layers"},
      {"{'manifests': {}}", "manifests is not an array"},
      {"{'layers': []}", "read manifest: no config"},
      {"{'layers': [], 'config': {}}", "read config: digest \"\""},
      {"{'layers': [], 'config': []}", "read config: digest \"\""},
      {"{'layers': [], 'config': {'digest': 5}}", "digest: not a string"},
      {"{'layers': [], 'config': {'digest': '../../etc/passwd'}}",
       "read config: digest \"../../etc/passwd\""},
      {"{'layers': [], 'config': {'digest': 'DIGEST', 'size': -1}}",
       "read config: size -1"},
      {"{'layers': [], 'config': {'digest': 'DIGEST', 'size': 1.5}}",
       "size: not an integer"},
      {"{'layers': [], 'config': {'digest': 'DIGEST', 'size': '1'}}",
       "size: not an integer"},
      {"{'layers': [], 'config': {'digest': 'DIGEST',"
       " 'size': 18446744073709551615}}",
       "size: not an integer"},
      {"{'layers': {}, 'config': {'digest': 'DIGEST'}}",
       "layers is not an array"},
      {"{'layers': [5], 'config': {'digest': 'DIGEST'}}",
       "read layer: digest \"\""},
      {"{'layers': [{'digest': 'DIGEST'}], 'config': {'digest': 'DIGEST'}}",
       "read layer: media type \"\""},
      {"{'layers': [{'digest': 'DIGEST', 'mediaType': 'x.tar+xz'}],"
       " 'config': {'digest': 'DIGEST'}}",
       "read layer: media type \"x.tar+xz\""},
      {"{'layers': [{'digest': 'DIGEST', 'mediaType': []}],"
       " 'config': {'digest': 'DIGEST'}}",
       "mediaType: not a string"},
      {"{'layers': [], 'config': {'digest': 'DIGEST'}} trailing",
       "not valid json"},
  };
  for (const Row& row : rows) {
    EXPECT_THAT(Text(ParseManifest(WithDigest(row.json)).status()),
                HasSubstr(row.message))
        << row.json;
  }
}

TEST(ManifestTest, LayersAreBounded) {
  const auto with_layers = [](size_t count) {
    std::string json = "{'config': {'digest': 'DIGEST'}, 'layers': [";
    for (size_t i = 0; i < count; ++i) {
      absl::StrAppend(&json, i == 0 ? "" : ",",
                      "{'digest': 'DIGEST', 'mediaType': 'x.tar'}");
    }
    return WithDigest(json + "]}");
  };
  EXPECT_TRUE(ParseManifest(with_layers(kMaxLayers)).ok());
  EXPECT_THAT(Text(ParseManifest(with_layers(kMaxLayers + 1)).status()),
              HasSubstr("array of at most 512"));
}

TEST(ManifestTest, OversizedTextIsRefused) {
  std::string json =
      WithDigest("{'config': {'digest': 'DIGEST'}, 'layers': []}");
  json.resize(kMaxManifestBytes, ' ');
  EXPECT_TRUE(ParseManifest(json).ok());
  EXPECT_THAT(Text(ParseManifest(json + " ").status()),
              HasSubstr("INVALID_ARGUMENT: read manifest: larger than"));
}

TEST(ManifestTest, NestingIsBounded) {
  for (const size_t depth : {65, 1000, 1000000}) {
    EXPECT_THAT(Text(ParseManifest(std::string(depth, '[')).status()),
                HasSubstr("INVALID_ARGUMENT"));
    EXPECT_THAT(Text(ParseManifest(
                         absl::StrCat("{\"layers\": ", std::string(depth, '['),
                                      std::string(depth, ']'), "}"))
                         .status()),
                HasSubstr("INVALID_ARGUMENT: parse manifest"));
  }
}

}  // namespace
}  // namespace caisson::image
