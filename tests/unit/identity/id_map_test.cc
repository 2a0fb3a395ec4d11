#include "runtime/identity/id_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/identity/id_pool.h"

namespace caisson::identity {
namespace {

using ::testing::ElementsAre;

TEST(IdMapTest, ExtraIdsFollowTheSlot) {
  absl::StatusOr<std::vector<IdExtent>> map =
      MakeMap(268435456, {1000680000, 70000, 5, 70000}, 300000000);
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_THAT(*map, ElementsAre(IdExtent{0, 268435456, 65536},
                                IdExtent{70000, 300000000, 1},
                                IdExtent{1000680000, 300000001, 1}));
  EXPECT_EQ(*ToHost(*map, 70000), 300000000u);
  EXPECT_EQ(*ToHost(*map, 1000), 268436456u);
  EXPECT_EQ(ToHost(*map, 70001).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(CheckMap(*map, "uids").ok());
}

TEST(IdMapTest, RefusesWhatCannotBeMapped) {
  EXPECT_FALSE(MakeMap(268435456, {kIdLimit}, 300000000).ok());
  EXPECT_FALSE(MakeMap(kHostIdLimit - 1, {}, 0).ok());
  EXPECT_FALSE(MakeMap(268435456, {70000}, 268435456).ok());
  std::vector<uint32_t> many;
  for (uint32_t i = 0; i < kMaxExtents; ++i) {
    many.push_back(70000 + 2 * i);
  }
  EXPECT_FALSE(MakeMap(268435456, many, 300000000).ok());
  many.pop_back();
  EXPECT_TRUE(MakeMap(268435456, many, 300000000).ok());
}

TEST(IdMapTest, ChecksTheClientsMap) {
  using Map = std::vector<IdExtent>;
  for (const uint32_t host : {65536u, 2701000704u, kHostIdLimit - 65536}) {
    EXPECT_TRUE(CheckMap(Map{{0, host, 65536}}, "uids").ok()) << host;
  }
  for (const Map& map :
       {Map{}, Map{{0, 65536, 0}}, Map{{1, 65536, 10}}, Map{{0, 0, 10}},
        Map{{0, 65536, 10}, {9, 70000, 10}},
        Map{{0, 65536, 10}, {10, 65540, 10}}, Map{{0, 4294967295, 2}},
        Map{{0, kHostIdLimit - 65535, 65536}}, Map{{0, 65536, 4294967295}},
        Map{{0, 65536, 10}, {kIdLimit - 5, 1000000, 10}}}) {
    EXPECT_EQ(CheckMap(map, "uids").code(), absl::StatusCode::kInvalidArgument);
  }
}

// What the two messages of extents have.
struct Message {
  uint32_t container_id() const { return extent.container_id; }

  uint32_t host_id() const { return extent.host_id; }

  uint32_t length() const { return extent.length; }

  void set_container_id(uint32_t id) { extent.container_id = id; }

  void set_host_id(uint32_t id) { extent.host_id = id; }

  void set_length(uint32_t length) { extent.length = length; }

  IdExtent extent;
};

struct Messages : std::vector<Message> {
  void Clear() { clear(); }

  Message* Add() { return &emplace_back(); }
};

TEST(IdMapTest, GoesThroughMessagesUnchanged) {
  const IdMap map({{0, 1000000, 65536}, {70000, 2000000, 1}});
  Messages messages;
  messages.resize(3);
  map.CopyTo(&messages);
  EXPECT_EQ(messages.size(), 2u);
  EXPECT_EQ(IdMap::From(messages), map);
  EXPECT_EQ(map.ToText(), "0 1000000 65536\n70000 2000000 1\n");
}

TEST(IdMapTest, MapsBothWays) {
  const IdMap map({{0, 1000000, 65536}, {70000, 2000000, 1}});
  EXPECT_EQ(*map.ToHost(65535), 1065535u);
  EXPECT_EQ(*map.ToHost(70000), 2000000u);
  EXPECT_TRUE(absl::IsNotFound(map.ToHost(65536).status()));
  EXPECT_TRUE(map.Contains(70000));
  EXPECT_FALSE(map.Contains(70001));
  EXPECT_EQ(*map.ToContainer(1065535), 65535u);
  EXPECT_EQ(*map.ToContainer(2000000), 70000u);
  EXPECT_TRUE(absl::IsNotFound(map.ToContainer(999999).status()));
  EXPECT_TRUE(absl::IsNotFound(map.ToContainer(0).status()));
}

TEST(IdMapTest, AnEmptyOneIsTheHosts) {
  const IdMap host;
  EXPECT_TRUE(host.is_host());
  EXPECT_EQ(*host.ToHost(4294967294), 4294967294u);
  EXPECT_EQ(*host.ToContainer(7), 7u);
  EXPECT_TRUE(host.OverlapsOnHost(IdMap({{0, 1000000, 65536}})));
}

TEST(IdMapTest, OneIdInCommonIsAnOverlap) {
  const IdMap map({{0, 1000000, 65536}, {70000, 2000000, 1}});
  EXPECT_TRUE(map.OverlapsOnHost(IdMap({{0, 1065535, 2}})));
  EXPECT_TRUE(map.OverlapsOnHost(IdMap({{5, 2000000, 1}})));
  EXPECT_FALSE(map.OverlapsOnHost(IdMap({{0, 1065536, 2}, {9, 999999, 1}})));
}

class IdPoolTest : public ::testing::Test {
 protected:
  std::string Write(const char* name, const std::string& text) {
    const std::string path = testing::TempDir() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(IdPoolTest, BothFilesMustAgree) {
  const std::string a = Write("a", "x:1:2\ncaisson:1000000:200000\n");
  const std::string b = Write("b", "caisson:1000000:100000\n");
  absl::StatusOr<IdPool> pool = ReadPool(a, a, "caisson");
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ(pool->first, 1000000u);
  EXPECT_EQ(pool->slots, 3u);
  EXPECT_EQ(ReadPool(a, b, "caisson").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadPool(a, b + "-missing", "nobody").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(ReadPool(a, a, "x").ok());
}

TEST_F(IdPoolTest, FindsTheLowestFreeSlot) {
  IdPool pool;
  pool.first = 1000000;
  pool.slots = 3;
  EXPECT_EQ(*FindFreeSlot(pool, {}), 0u);
  EXPECT_EQ(*FindFreeSlot(pool, {{0, 1000000, 65536}}), 1u);
  // One id on each side of a border takes both slots.
  EXPECT_EQ(*FindFreeSlot(pool, {{0, 1000000 + 65535, 2}}), 2u);
  EXPECT_EQ(FindFreeSlot(pool, {{0, 0, 4294967295}}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace caisson::identity
