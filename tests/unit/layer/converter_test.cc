#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "runtime/image/sha256.h"
#include "tests/unit/layer/layer_fixture.h"

namespace caisson::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

using ConverterTest = LayerTest;

TEST_F(ConverterTest, FilesComeOutAsTheyWentIn) {
  TarMember program = {"bin/app", '0', "#!", "", 04755, 1000, 1001, 1234567};
  ConvertGood({{"bin/", '5', "", "", 0750, 7, 8},
               program,
               {"bin/sh", '2', "", "/bin/app"},
               {"bin/again", '1', "", "bin/app"},
               {"run/fifo", '6', "", "", 0600}});
  const ErofsFile& app = files["bin/app"];
  EXPECT_EQ(app.mode, uint32_t{S_IFREG | 04755});
  EXPECT_EQ(app.uid, 1000u);
  EXPECT_EQ(app.gid, 1001u);
  EXPECT_EQ(app.mtime, 1234567);
  EXPECT_EQ(app.content, "#!");
  EXPECT_EQ(app.links, 2u);
  EXPECT_EQ(files["bin/again"].nid, app.nid);
  EXPECT_EQ(files["bin/sh"].mode, uint32_t{S_IFLNK | 0777});
  EXPECT_EQ(files["bin/sh"].content, "/bin/app");
  EXPECT_EQ(files["run/fifo"].mode, uint32_t{S_IFIFO | 0600});
  EXPECT_EQ(files["bin"].mode, uint32_t{S_IFDIR | 0750});
  EXPECT_EQ(files["bin"].gid, 8u);
  // Made for its child.
  EXPECT_EQ(files["run"].mode, uint32_t{S_IFDIR | 0755});
  EXPECT_EQ(files["run"].uid, 0u);
  EXPECT_EQ(files.size(), 7u);
  EXPECT_EQ(result.entries, 5u);
  EXPECT_EQ(result.highest_id, 1001u);
}

TEST_F(ConverterTest, EverySizeAroundABlockIsKept) {
  std::vector<TarMember> members;
  for (const size_t size : {0, 1, 511, 512, 3071, 3072, 3073, 4095, 4096, 4097,
                            7168, 7169, 8191, 8192, 1048576, 1048577}) {
    std::string content(size, '\0');
    for (size_t i = 0; i < size; ++i) {
      content[i] = static_cast<char>(i * 7 + i / 256);
    }
    members.push_back({"f" + std::to_string(size), '0', content});
  }
  ConvertGood(members);
  for (const TarMember& member : members) {
    EXPECT_EQ(files[member.name].content, member.content) << member.name;
  }
}

TEST_F(ConverterTest, EmptyLayerHasARootOnly) {
  ConvertGood({});
  EXPECT_THAT(files, ElementsAre(Pair("", testing::_)));
  EXPECT_EQ(files[""].mode, uint32_t{S_IFDIR | 0755});
}

TEST_F(ConverterTest, DirectoriesOfManyBlocksKeepEveryName) {
  std::vector<TarMember> members;
  for (int i = 0; i < 2000; ++i) {
    members.push_back({"d/" + std::to_string(i) + std::string(60, 'n'), '0',
                       std::to_string(i)});
  }
  ConvertGood(members);
  EXPECT_EQ(files.size(), 2002u);
  EXPECT_EQ(files["d/1999" + std::string(60, 'n')].content, "1999");
  EXPECT_EQ(files["d"].links, 2u);
}

TEST_F(ConverterTest, LongNamesComeFromPaxAndGnuHeaders) {
  const std::string pax = "pax/" + std::string(255, 'p');
  const std::string gnu =
      "gnu/" + std::string(200, 'g') + "/" + std::string(200, 'h');
  TarMember named = {"short", '0', "pax"};
  named.pax = {{"path", pax}, {"mtime", "1700000000.5"}, {"uid", "70000"}};
  TarMember linked = {"link", '2', "", "cut"};
  linked.pax = {{"linkpath", std::string(4095, 'l')}};
  const std::string tar =
      TarEntry(named) + TarEntry(linked) +
      TarEntry({"././@LongLink", 'L', gnu + std::string(1, '\0')}) +
      TarEntry({"short", '0', "gnu"}) + std::string(1024, '\0');
  ConvertGoodStream(tar);
  EXPECT_EQ(files[pax].content, "pax");
  EXPECT_EQ(files[pax].uid, 70000u);
  EXPECT_EQ(files[gnu].content, "gnu");
  EXPECT_EQ(files["link"].content, std::string(4095, 'l'));
  EXPECT_EQ(result.highest_id, 70000u);
}

TEST_F(ConverterTest, NamesAreBytes) {
  TarMember pax = {"short", '0', "pax"};
  pax.pax = {{"path", "pax/\xc3\xa4"}};
  ConvertGood({{"raw/\xff\xfe", '0', "raw"}, {"a b\n\x01", '0', "odd"}, pax});
  EXPECT_EQ(files["raw/\xff\xfe"].content, "raw");
  EXPECT_EQ(files["a b\n\x01"].content, "odd");
  EXPECT_EQ(files["pax/\xc3\xa4"].content, "pax");
}

TEST_F(ConverterTest, LaterEntriesReplaceEarlierOnes) {
  ConvertGood({{"f", '0', "one"},
               {"f", '0', "two"},
               {"d/x", '0', "kept"},
               {"d", '5', "", "", 0700},
               {"gone/x", '0', "x"},
               {"gone", '0', "now a file"},
               {"l", '2', "", "/target"},
               {"l", '0', "now a file"}});
  EXPECT_EQ(files["f"].content, "two");
  EXPECT_EQ(files["f"].links, 1u);
  EXPECT_EQ(files["d/x"].content, "kept");
  EXPECT_EQ(files["d"].mode, uint32_t{S_IFDIR | 0700});
  EXPECT_EQ(files["gone"].content, "now a file");
  EXPECT_FALSE(files.contains("gone/x"));
  EXPECT_EQ(files["l"].mode, uint32_t{S_IFREG | 0644});
}

TEST_F(ConverterTest, ReplacedTargetOfAHardLinkLivesOn) {
  ConvertGood({{"a", '0', "old"}, {"b", '1', "", "a"}, {"a", '0', "new"}});
  EXPECT_EQ(files["a"].content, "new");
  EXPECT_EQ(files["b"].content, "old");
  EXPECT_EQ(files["b"].links, 1u);
}

TEST_F(ConverterTest, SparseFilesHaveTheirHoles) {
  // GNU's form 1.0: the map stands before the data.
  std::string content = "2\n4096\n4\n12288\n4\n";
  content.resize(512);
  content += "headtail";
  TarMember sparse = {"GNUSparseFile.0/s", '0', content};
  sparse.pax = {{"GNU.sparse.major", "1"},
                {"GNU.sparse.minor", "0"},
                {"GNU.sparse.name", "s"},
                {"GNU.sparse.realsize", "20000"}};
  ConvertGood({sparse});
  std::string wanted(20000, '\0');
  wanted.replace(4096, 4, "head");
  wanted.replace(12288, 4, "tail");
  EXPECT_EQ(files["s"].content, wanted);
}

TEST_F(ConverterTest, OnlyHarmlessXattrsAreKept) {
  TarMember file = {"f", '0', "x"};
  file.pax = {{"SCHILY.xattr.security.capability", std::string(20, '\1')},
              {"SCHILY.xattr.user.mine", "yes"},
              {"SCHILY.xattr.user.overlay.redirect", "/etc"},
              {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
              {"SCHILY.xattr.trusted.overlay.opaque", "y"},
              {"SCHILY.xattr.security.selinux", "label"},
              {"SCHILY.xattr.system.posix_acl_access", "acl"}};
  ConvertGood({file});
  EXPECT_THAT(files["f"].xattrs,
              ElementsAre(Pair("security.capability", std::string(20, '\1')),
                          Pair("user.mine", "yes")));
  EXPECT_EQ(result.notes.size(), 5u);
}

TEST_F(ConverterTest, DevicesAreLeftOutWithANote) {
  ConvertGood({{"null", '3'}, {"disk", '4'}, {"f", '0', "x"}});
  EXPECT_EQ(files.size(), 2u);
  EXPECT_THAT(result.notes, ElementsAre(HasSubstr("null: left out, a device"),
                                        HasSubstr("disk: left out, a device")));
}

TEST_F(ConverterTest, DigestIsOfTheWholeStreamWithWhatFollows) {
  const std::string tar = Tar({{"f", '0', "x"}}) + "junk behind the end";
  const absl::StatusOr<LayerResult> converted = Convert(tar);
  ASSERT_TRUE(converted.ok()) << converted.status();
  EXPECT_EQ(converted->diff_id, Sha256Digest(tar));
}

TEST_F(ConverterTest, UserFilesAreReported) {
  ConvertGood(
      {{"./etc//passwd", '0', "root:x:0:0::/:\n"}, {"etc/.wh.group", '0'}});
  EXPECT_EQ(result.passwd.content, "root:x:0:0::/:\n");
  EXPECT_FALSE(result.passwd.removed);
  EXPECT_FALSE(result.group.content.has_value());
  EXPECT_TRUE(result.group.removed);
}

TEST_F(ConverterTest, OnlyTheLastUserFileCounts) {
  ConvertGood({{"etc/passwd", '0', "one"},
               {"backup", '1', "", "etc/passwd"},
               {"etc/passwd", '0', "two"},
               {"etc/group", '0', "one"},
               {"etc/group", '2', "", "/etc/passwd"}});
  EXPECT_EQ(result.passwd.content, "two");
  EXPECT_FALSE(result.group.content.has_value());
  EXPECT_TRUE(result.group.removed);
  EXPECT_EQ(files["backup"].content, "one");
}

}  // namespace
}  // namespace caisson::image
