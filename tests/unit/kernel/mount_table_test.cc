#include "runtime/kernel/mount_table.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

namespace caisson::kernel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A child stands before its parent, as after a move.
constexpr char kTable[] =
    "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "33 30 0:50 / /srv/a\\040b/deep rw - tmpfs tmpfs rw\n"
    "30 20 0:40 / /srv/a\\040b rw,idmapped shared:7 master:3 - xfs /dev/sdb "
    "rw\n"
    "31 20 0:41 / /srv/abc rw - nfs4 server:/x rw\n"
    "32 20 0:42 /sub /srv/c\\134d ro - overlay overlay rw\n"
    "34 30 0:43 / /srv/a\\040b rw - proc  rw\n";

std::vector<std::string> PointsBelow(uint64_t id, const char* path) {
  std::vector<std::string> points;
  for (const MountEntry& entry :
       MountsBelow(ParseMountTable(kTable), id, path)) {
    points.push_back(entry.mount_point);
  }
  return points;
}

TEST(MountTableTest, LinesAreRead) {
  const std::vector<MountEntry> table = ParseMountTable(kTable);
  ASSERT_EQ(table.size(), 6u);
  EXPECT_EQ(table[2].id, 30u);
  EXPECT_EQ(table[2].parent, 20u);
  EXPECT_EQ(table[2].mount_point, "/srv/a b");
  EXPECT_EQ(table[2].type, "xfs");
  EXPECT_TRUE(table[2].id_mapped);
  EXPECT_FALSE(table[0].id_mapped);
  EXPECT_TRUE(table[2].shared);
  EXPECT_FALSE(table[1].shared);
  EXPECT_EQ(table[4].mount_point, "/srv/c\\d");
  EXPECT_EQ(table[5].type, "proc");
}

TEST(MountTableTest, OtherLinesAreLeftOut) {
  for (const char* text :
       {"", "\n\n", "20", "20 1 8:1 / / rw", "20 1 8:1 / / rw -",
        "x 1 8:1 / / rw - ext4 a rw", "20 1 - ext4 a rw 8:1 / / rw"}) {
    EXPECT_THAT(ParseMountTable(text), IsEmpty()) << text;
  }
}

TEST(MountTableTest, AnOddEscapeIsNoHarm) {
  const std::vector<MountEntry> table =
      ParseMountTable("20 1 8:1 / /a\\04 rw - ext4 a rw\n");
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table[0].mount_point, "/a\\04");
}

TEST(MountTableTest, MountsBelowAPathComeParentsFirst) {
  EXPECT_THAT(PointsBelow(20, "/srv"),
              ElementsAre("/srv/a b", "/srv/abc", "/srv/c\\d", "/srv/a b/deep",
                          "/srv/a b"));
  EXPECT_THAT(PointsBelow(20, "/srv/a"), IsEmpty());
  EXPECT_THAT(PointsBelow(30, "/srv/a b"), ElementsAre("/srv/a b/deep"));
  EXPECT_EQ(PointsBelow(20, "/").size(), 5u);
}

TEST(MountTableTest, WhatCannotBeBoundStaysBehindWithWhatIsBelow) {
  const std::vector<MountEntry> table = ParseMountTable(
      "2 1 0:1 / /s/a rw unbindable - tmpfs tmpfs rw\n"
      "3 2 0:2 / /s/a/b rw - tmpfs tmpfs rw\n"
      "4 1 0:3 / /s/c rw - tmpfs unbindable rw\n");
  const std::vector<MountEntry> below = MountsBelow(table, 1, "/s");
  ASSERT_EQ(below.size(), 1u);
  EXPECT_EQ(below[0].id, 4u);
}

TEST(MountTableTest, OurOwnTableHasTheRoot) {
  const UniqueFd root(open("/", O_PATH | O_CLOEXEC));
  const absl::StatusOr<uint64_t> id = MountIdOf(root.get());
  ASSERT_TRUE(id.ok()) << id.status();
  const absl::StatusOr<std::vector<MountEntry>> table = ReadMountTable();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(*table, testing::Contains(testing::AllOf(
                          testing::Field(&MountEntry::id, *id),
                          testing::Field(&MountEntry::mount_point, "/"))));
}

}  // namespace
}  // namespace caisson::kernel
