#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/layer/layer_fixture.h"

namespace caisson::image {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using HostileLayerTest = LayerTest;

TEST_F(HostileLayerTest, AbsoluteAndDoubledNamesStayInside) {
  ConvertGood({{"/etc/passwd", '0', "1"},
               {"//a//b/./c", '0', "2"},
               {"./", '5', "", "", 0711},
               {"hard", '1', "", "/etc/passwd"}});
  EXPECT_EQ(files["etc/passwd"].content, "1");
  EXPECT_EQ(files["a/b/c"].content, "2");
  EXPECT_EQ(files["hard"].nid, files["etc/passwd"].nid);
  EXPECT_EQ(files[""].mode & 07777, 0711u);
}

TEST_F(HostileLayerTest, SymlinksAreTextAndNeverFollowed) {
  ConvertGood({{"a", '2', "", "../../../../etc"},
               {"b", '2', "", "/proc/self/root"},
               {"c", '1', "", "a"}});
  EXPECT_EQ(files["a"].content, "../../../../etc");
  EXPECT_EQ(files["c"].nid, files["a"].nid);
}

struct Refused {
  const char* name;
  std::vector<TarMember> members;
  const char* message;
};

TEST_F(HostileLayerTest, WhatNoLayerMayHoldIsRefused) {
  const std::vector<Refused> rows = {
      {"parent", {{"../x", '0'}}, "a name with .."},
      {"parent below", {{"a/../../x", '0'}}, "a name with .."},
      {"parent as directory", {{"..", '5'}}, "a name with .."},
      {"link to the parent", {{"x", '1', "", "../etc/passwd"}}, "link to ../"},
      {"link to nothing", {{"x", '1', "", "y"}}, "nothing of it in this layer"},
      {"link to itself", {{"x", '1', "", "x"}}, "nothing of it"},
      {"link to a directory",
       {{"d", '5'}, {"x", '1', "", "d"}},
       "which is a directory"},
      {"link to the root", {{"x", '1', "", "/"}}, "which is a directory"},
      {"symlink to nothing", {{"x", '2', "", ""}}, "bad link target"},
      {"through a symlink",
       {{"a", '2', "", "/"}, {"a/x", '0'}},
       "a parent that is no directory"},
      {"through a file",
       {{"a", '0', "x"}, {"a/b/c", '0'}},
       "a parent that is no directory"},
      {"through a hard link to a symlink",
       {{"a", '2', "", "/"}, {"h", '1', "", "a"}, {"h/x", '0'}},
       "a parent that is no directory"},
      {"root is a symlink", {{"./", '2', "", "/tmp"}}, "root that is no"},
      {"root is a file", {{".", '0', "x"}}, "root that is no directory"},
      {"overlong name",
       {{"x", '0', "", "", 0, 0, 0, 0, {{"path", std::string(256, 'n')}}}},
       "a name too long"},
      {"no name", {{"", '0'}}, ""},
      {"owner beyond 31 bits", {{"x", '0', "", "", 0, 2147483648}}, "owner"},
      {"owner of PAX",
       {{"x", '0', "", "", 0, 0, 0, 0, {{"gid", "4294967296"}}}},
       "is out of range"},
      {"negative owner", {{"x", '0', "", "", 0, -1}}, ""},
  };
  for (const Refused& row : rows) {
    const std::string refusal = Refusal(row.members);
    EXPECT_THAT(refusal, AnyOf(StartsWith("INVALID_ARGUMENT: read layer entry"),
                               StartsWith("DATA_LOSS: read layer")))
        << row.name;
    EXPECT_THAT(refusal, HasSubstr(row.message)) << row.name;
  }
}

TEST_F(HostileLayerTest, TooDeepIsRefusedAndJustDeepEnoughIsNot) {
  std::string deep;
  for (int i = 0; i < 1024; ++i) {
    deep += "d/";
  }
  TarMember member = {"x", '5'};
  member.pax = {{"path", deep}};
  EXPECT_EQ(Refusal({member}), "");
  member.pax = {{"path", deep + "d"}};
  EXPECT_THAT(Refusal({member}), HasSubstr("too deep"));
}

TEST_F(HostileLayerTest, EveryTruncationIsFoundOrLeavesASoundImage) {
  TarMember pax = {"s", '0', std::string(1000, 'x')};
  pax.pax = {{"path", std::string(150, 'p')}};
  const std::string tar = TarEntry({"a", '0', "1"}) + TarEntry(pax);
  for (size_t size = 1; size < tar.size(); ++size) {
    const absl::StatusOr<LayerResult> converted = Convert(tar.substr(0, size));
    // A stream may end between members: GNU tar reads that as well.
    if (size % 512 != 0) {
      EXPECT_FALSE(converted.ok()) << size;
    }
    if (!converted.ok()) {
      EXPECT_EQ(converted.status().code(), absl::StatusCode::kDataLoss)
          << size << ": " << converted.status();
    }
  }
}

TEST_F(HostileLayerTest, EveryDamagedByteOfAHeaderIsFound) {
  const std::string tar = Tar({{"a", '0', "1"}, {"b", '0', "2"}});
  ASSERT_TRUE(Convert(tar).ok());
  for (const size_t offset : {1024, 1100, 1130, 1150, 1180, 1300}) {
    std::string damaged = tar;
    damaged[offset] = static_cast<char>(damaged[offset] ^ 0x04);
    const absl::StatusOr<LayerResult> converted = Convert(damaged);
    EXPECT_EQ(converted.status().code(), absl::StatusCode::kDataLoss)
        << offset << ": " << converted.status();
  }
}

TEST_F(HostileLayerTest, StreamThatIsNoTarIsRefused) {
  for (const std::string& text :
       {std::string("hello"), std::string(10000, 'x'), std::string(511, '\0'),
        std::string("\x1f\x8b\x08 not really gzip")}) {
    EXPECT_EQ(Convert(text).status().code(), absl::StatusCode::kDataLoss)
        << text.size();
  }
}

// Catalogue D10: one size, or none.
TEST_F(HostileLayerTest, PaxSizeGoesBeforeTheHeaders) {
  TarMember member = {"f", '0', std::string(512, 'x')};
  member.size = 0;
  member.pax = {{"size", "512"}};
  ConvertGood({member, {"g", '0', "after"}});
  EXPECT_EQ(files["f"].content, std::string(512, 'x'));
  EXPECT_EQ(files["g"].content, "after");
}

TEST_F(HostileLayerTest, MalformedPaxHeadersAreRefused) {
  for (const std::string& records :
       {std::string("x path=a\n"), std::string("99999999999 path=a\n"),
        std::string("3 path=a\n"), std::string("-1 path=a\n"),
        std::string("12 path=abc"), std::string("13 size=-512\n")}) {
    const std::string tar = TarEntry({"PaxHeaders/x", 'x', records}) +
                            TarEntry({"f", '0', "content"}) +
                            std::string(1024, '\0');
    const absl::StatusOr<LayerResult> converted = Convert(tar);
    EXPECT_FALSE(converted.ok()) << records;
  }
}

}  // namespace
}  // namespace caisson::image
