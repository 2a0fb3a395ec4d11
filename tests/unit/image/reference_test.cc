#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/image/image_store.h"

namespace caisson::image {
namespace {

using ::testing::HasSubstr;

constexpr char kDigest[] =
    "sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(ReferenceTest, NamesAreFilledIn) {
  struct Row {
    std::string text, registry, repository, tag, digest;
  };

  const std::string digest = kDigest;
  const Row rows[] = {
      {"busybox", "docker.io", "library/busybox", "latest", ""},
      {"busybox:1.36", "docker.io", "library/busybox", "1.36", ""},
      {"user/app", "docker.io", "user/app", "latest", ""},
      {"docker.io/busybox", "docker.io", "library/busybox", "latest", ""},
      {"registry.k8s.io/e2e/agnhost:2.40", "registry.k8s.io", "e2e/agnhost",
       "2.40", ""},
      {"localhost/app", "localhost", "app", "latest", ""},
      {"localhost:5000/a/b/c:v1", "localhost:5000", "a/b/c", "v1", ""},
      {"127.0.0.1:65535/app", "127.0.0.1:65535", "app", "latest", ""},
      {"[::1]:5000/app", "[::1]:5000", "app", "latest", ""},
      {"[fd00::1]/app", "[fd00::1]", "app", "latest", ""},
      {"UPPER.example/app", "UPPER.example", "app", "latest", ""},
      {"app@" + digest, "docker.io", "library/app", "", digest},
      {"app:v1@" + digest, "docker.io", "library/app", "v1", digest},
      {"a.b", "docker.io", "library/a.b", "latest", ""},
      {"host:5000", "docker.io", "library/host", "5000", ""},
      {"a_b-c__d/e", "docker.io", "a_b-c__d/e", "latest", ""},
  };
  for (const Row& row : rows) {
    const absl::StatusOr<Reference> reference = ParseReference(row.text);
    ASSERT_TRUE(reference.ok()) << row.text << ": " << reference.status();
    EXPECT_EQ(reference->registry, row.registry) << row.text;
    EXPECT_EQ(reference->repository, row.repository) << row.text;
    EXPECT_EQ(reference->tag, row.tag) << row.text;
    EXPECT_EQ(reference->digest, row.digest) << row.text;
  }
}

TEST(ReferenceTest, NameIsReadAgainAsTheSame) {
  for (const std::string& text :
       {std::string("busybox"), std::string("[::1]:5000/a/b:c"),
        std::string("x@") + kDigest}) {
    const absl::StatusOr<Reference> first = ParseReference(text);
    ASSERT_TRUE(first.ok());
    const absl::StatusOr<Reference> second = ParseReference(first->Name());
    ASSERT_TRUE(second.ok()) << first->Name();
    EXPECT_EQ(second->Name(), first->Name());
  }
}

TEST(ReferenceTest, WhatIsNoNameIsRefused) {
  const std::string digest = kDigest;
  for (const std::string& text : {
           std::string(),
           std::string(" "),
           std::string("/"),
           std::string("/app"),
           std::string("app/"),
           std::string("a//b"),
           std::string("Upper"),
           std::string("registry.io/Upper"),
           std::string("app:"),
           std::string("app:.hidden"),
           std::string("app:-flag"),
           std::string("app:a b"),
           std::string("app:") + std::string(129, 't'),
           std::string("app@"),
           std::string("app@sha256:12"),
           std::string("app@sha512:") + std::string(128, 'a'),
           "app@" + digest + "0",
           "app@" + digest + "@" + digest,
           "@" + digest,
           "app@SHA256:" + digest.substr(7),
           std::string("a..b/c/../d"),
           std::string("-app"),
           std::string("app_"),
           std::string("a\nb"),
           std::string("a\0b", 3),
           std::string("\xc3\xa4"),
           std::string(513, 'a'),
           std::string(256, 'a'),
       }) {
    const absl::StatusOr<Reference> reference = ParseReference(text);
    EXPECT_EQ(reference.status().code(), absl::StatusCode::kInvalidArgument)
        << text;
    EXPECT_THAT(std::string(reference.status().message()),
                HasSubstr("parse image reference \""));
    EXPECT_LT(reference.status().message().size(), 700u);
  }
}

// A registry's name becomes a folder's below the directory of hosts.toml.
TEST(ReferenceTest, RegistryIsAHostAndNothingElse) {
  // Found by fuzz_reference.
  EXPECT_FALSE(ParseReference(std::string(508, 'r') + ".s/x").ok());
  EXPECT_FALSE(ParseReference(std::string(505, 'r') + ".s/x").ok());
  EXPECT_TRUE(ParseReference(std::string(501, 'r') + ".s/x").ok());
  EXPECT_FALSE(ParseReference(absl::string_view("[::0\0..]/geg", 12)).ok());
  for (const char* host :
       {"..",     ".",         "...",     ".a",      "a.",
        "a..b",   "-a.b",      "a-.b",    ":5000",   "a.b:",
        "a.b:0",  "a.b:65536", "a.b:+1",  "a.b:1:2", "a.b:99999999999",
        "[",      "[]",        "[::1",    "::1]",    "[::1]x",
        "[::1]:", "[a.b]",     "[::1]:x", "a_b.c",   "user:secret@host.io",
        "a.b%2f"}) {
    EXPECT_FALSE(ParseReference(std::string(host) + "/app").ok()) << host;
  }
}

}  // namespace
}  // namespace caisson::image
