#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/layer/layer_fixture.h"

namespace caisson::image {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

using LayerLimitsTest = LayerTest;

TEST_F(LayerLimitsTest, StreamIsBounded) {
  limits.max_bytes = 100000;
  EXPECT_THAT(Refusal({{"f", '0', std::string(100000, 'x')}}),
              StartsWith("RESOURCE_EXHAUSTED: read layer"));
  EXPECT_EQ(Refusal({{"f", '0', std::string(90000, 'x')}}), "");
}

TEST_F(LayerLimitsTest, EntriesAreBounded) {
  limits.max_entries = 2;
  EXPECT_EQ(Refusal({{"a", '0'}, {"b", '0'}}), "");
  EXPECT_THAT(Refusal({{"a", '0'}, {"b", '0'}, {"c", '0'}}),
              HasSubstr("RESOURCE_EXHAUSTED: read layer: too many entries"));
}

TEST_F(LayerLimitsTest, XattrsAreBounded) {
  TarMember member = {"f", '0'};
  member.pax = {{"SCHILY.xattr.user.a", std::string(32768, 'x')}};
  ConvertGood({member});
  EXPECT_EQ(files["f"].xattrs["user.a"].size(), 32768u);
  member.pax.emplace_back("SCHILY.xattr.user.b", std::string(32768, 'x'));
  EXPECT_THAT(Refusal({member}), HasSubstr("too many xattrs"));
  member.pax = {{"SCHILY.xattr.user." + std::string(256, 'n'), "x"}};
  EXPECT_THAT(Refusal({member}), HasSubstr("too many xattrs"));
}

TEST_F(LayerLimitsTest, ManySmallXattrsFit) {
  TarMember member = {"f", '0', "tail"};
  for (int i = 0; i < 5000; ++i) {
    member.pax.emplace_back("SCHILY.xattr.user." + std::to_string(i), "v");
  }
  ConvertGood({member});
  EXPECT_EQ(files["f"].xattrs.size(), 5000u);
  EXPECT_EQ(files["f"].content, "tail");
}

TarMember Sparse(const std::string& name, const std::string& size) {
  std::string map = "0\n";
  map.resize(512);
  TarMember sparse = {"s", '0', map};
  sparse.pax = {{"GNU.sparse.major", "1"},
                {"GNU.sparse.minor", "0"},
                {"GNU.sparse.name", name},
                {"GNU.sparse.realsize", size}};
  return sparse;
}

TEST_F(LayerLimitsTest, HolesCountLikeData) {
  limits.max_bytes = 1 << 20;
  EXPECT_EQ(Refusal({Sparse("a", "1000000")}), "");
  EXPECT_THAT(Refusal({Sparse("a", "1048577")}),
              StartsWith("RESOURCE_EXHAUSTED: read layer entry a: size"));
  // Each alone would do.
  EXPECT_THAT(Refusal({Sparse("a", "1000000"), Sparse("b", "1000000")}),
              StartsWith("RESOURCE_EXHAUSTED: read layer entry b: size"));
  EXPECT_NE(Refusal({Sparse("a", "9223372036854775807")}), "");
}

TEST_F(LayerLimitsTest, HugeSizesAreRefusedBeforeTheyAreWritten) {
  TarMember member = {"f", '0', "x"};
  for (const int64_t size : {int64_t{1} << 40, INT64_MAX}) {
    member.size = size;
    EXPECT_NE(Refusal({member}), "") << size;
  }
}

TEST_F(LayerLimitsTest, LargeUserFileIsNotKept) {
  limits.max_user_database_bytes = 10;
  ConvertGood(
      {{"etc/passwd", '0', "0123456789"}, {"etc/group", '0', "0123456789a"}});
  EXPECT_TRUE(result.passwd.content.has_value());
  EXPECT_FALSE(result.group.content.has_value());
  EXPECT_TRUE(result.group.removed);
}

TEST_F(LayerLimitsTest, NotesAreBounded) {
  std::vector<TarMember> members;
  for (int i = 0; i < 100; ++i) {
    members.push_back({std::to_string(i), '3'});
  }
  ConvertGood(members);
  EXPECT_EQ(result.notes.size(), 20u);
}

TEST_F(LayerLimitsTest, HundredThousandFilesAreConverted) {
  std::vector<TarMember> members;
  for (int i = 0; i < 100000; ++i) {
    members.push_back({std::to_string(i % 317) + "/" + std::to_string(i), '0',
                       std::to_string(i)});
  }
  ConvertGood(members);
  EXPECT_EQ(files.size(), 100000u + 317 + 1);
  EXPECT_EQ(files["144/99999"].content, "99999");
}

}  // namespace
}  // namespace caisson::image
