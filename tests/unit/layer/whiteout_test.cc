#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "tests/unit/layer/layer_fixture.h"

namespace caisson::image {
namespace {

using ::testing::HasSubstr;

class WhiteoutTest : public LayerTest {
 protected:
  bool IsWhiteout(const std::string& path) {
    return files.contains(path) && S_ISCHR(files[path].mode) &&
           files[path].device == 0;
  }

  bool IsOpaque(const std::string& path) {
    const auto& xattrs = files[path].xattrs;
    const auto found = xattrs.find("trusted.overlay.opaque");
    return found != xattrs.end() && found->second == "y";
  }
};

TEST_F(WhiteoutTest, NameBecomesACharacterDevice) {
  ConvertGood({{"a/.wh.b", '0'}, {".wh.top", '0'}});
  EXPECT_TRUE(IsWhiteout("a/b"));
  EXPECT_TRUE(IsWhiteout("top"));
  EXPECT_FALSE(files.contains("a/.wh.b"));
}

TEST_F(WhiteoutTest, DirectoryIsOpaqueWhereverItsEntryStands) {
  ConvertGood({{"before/.wh..wh..opq", '0'},
               {"before", '5', "", "", 0700},
               {"after", '5', "", "", 0700},
               {"after/.wh..wh..opq", '0'},
               {"alone/.wh..wh..opq", '0'},
               {"plain", '5'}});
  EXPECT_TRUE(IsOpaque("before"));
  EXPECT_EQ(files["before"].mode, uint32_t{S_IFDIR | 0700});
  EXPECT_TRUE(IsOpaque("after"));
  EXPECT_TRUE(IsOpaque("alone"));
  EXPECT_FALSE(IsOpaque("plain"));
}

TEST_F(WhiteoutTest, RootCanBeOpaque) {
  ConvertGood({{".wh..wh..opq", '0'}});
  EXPECT_TRUE(IsOpaque(""));
}

// It is about the layers below, in whatever order the entries come.
TEST_F(WhiteoutTest, WhatTheLayerItselfBringsStays) {
  ConvertGood({{"first", '0', "x"},
               {".wh.first", '0'},
               {".wh.second", '0'},
               {"second", '0', "y"},
               {"dir1/f", '0', "1"},
               {".wh.dir1", '0'},
               {".wh.dir2", '0'},
               {"dir2", '5'},
               {"dir2/f", '0', "2"},
               {".wh.dir3", '0'},
               {"dir3/f", '0', "3"}});
  EXPECT_EQ(files["first"].content, "x");
  EXPECT_EQ(files["second"].content, "y");
  for (const std::string name : {"1", "2", "3"}) {
    EXPECT_EQ(files["dir" + name + "/f"].content, name);
    EXPECT_TRUE(IsOpaque("dir" + name)) << name;
  }
}

TEST_F(WhiteoutTest, NamesThatHideNothingAreLeftOutWithANote) {
  ConvertGood({{".wh.", '0'},
               {"etc/.wh..", '0'},
               {"etc/.wh...", '0'},
               {".wh..wh.plnk", '0'},
               {"f", '0', "x"}});
  EXPECT_EQ(files.size(), 2u);
  ASSERT_EQ(result.notes.size(), 4u);
  for (const std::string& note : result.notes) {
    EXPECT_THAT(note, HasSubstr("left out, not a whiteout"));
  }
}

TEST_F(WhiteoutTest, OpaqueFileIsRefused) {
  EXPECT_THAT(Refusal({{"f", '0', "x"}, {"f/.wh..wh..opq", '0'}}),
              HasSubstr("INVALID_ARGUMENT: read layer entry f/.wh..wh..opq"));
}

TEST_F(WhiteoutTest, WhiteoutThroughALinkIsRefused) {
  EXPECT_THAT(Refusal({{"a", '2', "", "/etc"}, {"a/.wh.passwd", '0'}}),
              HasSubstr("INVALID_ARGUMENT: read layer entry a/passwd"));
}

TEST_F(WhiteoutTest, LinkToAWhiteoutIsRefused) {
  EXPECT_THAT(Refusal({{".wh.a", '0'}, {"b", '1', "", "a"}}),
              HasSubstr("link to a, which is a whiteout"));
}

TEST_F(WhiteoutTest, DeviceOfTheTarIsNoWhiteout) {
  ConvertGood({{"x", '3'}});
  EXPECT_FALSE(files.contains("x"));
}

}  // namespace
}  // namespace caisson::image
