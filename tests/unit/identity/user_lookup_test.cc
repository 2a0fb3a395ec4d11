#include "runtime/identity/user_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace caisson::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

UserDatabase Image() {
  UserDatabase database;
  database.passwd =
      "root:x:0:0:root:/root:/bin/sh\n"
      "1000:x:0:0::/:/bin/sh\n"
      "4294967296:x:0:0::/:/bin/sh\n"
      "2147483648:x:0:0::/:/bin/sh\n"
      "-1000:x:0:0::/:/bin/sh\n"
      "app:x:1001:1002::/srv/app:/bin/sh\n"
      "evil:x:4294967296:0::/:/bin/sh\n"
      "broken:x\n"
      "bell:x:1005:1005::/home\x07/x:/bin/sh\n";
  database.group =
      "root:x:0:\n1000:x:0:\nstaff:x:50:app,other\n"
      "wheel:x:10:root,app\nbad:x:99999999999:app\n";
  return database;
}

absl::StatusOr<User> Resolve(const std::string& image_user) {
  UserRequest request;
  request.image_user = image_user;
  return ResolveUser(request, Image());
}

TEST(UserLookupTest, RefusesMalformedUserStrings) {
  for (const char* user :
       {":1", "+1", " 1", "1 ", "4294967295", "4294967296", "-1", "1:2:3",
        "2147483648", "4294967296:0", "0:4294967296", "-1000", "1:-1",
        "999999999999999999999999999999999999", "evil", ":", "app\n"}) {
    EXPECT_EQ(Resolve(user).status().code(), absl::StatusCode::kInvalidArgument)
        << user << ": " << Resolve(user).status();
  }
  EXPECT_EQ(Resolve("0x1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Resolve("nobody").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Resolve("1:nogroup").status().code(), absl::StatusCode::kNotFound);
}

TEST(UserLookupTest, ReadsNumbersExactly) {
  struct Case {
    const char* text;
    uint32_t uid;
    uint32_t gid;
  };

  for (const Case& c :
       {Case{"1", 1, 0}, Case{"01", 1, 0}, Case{"1:1", 1, 1}, Case{"", 0, 0},
        Case{"2147483647", 2147483647, 0}, Case{"1000:1000", 1000, 1000},
        Case{"1000", 1000, 0}, Case{"1001", 1001, 1002},
        Case{"app", 1001, 1002}, Case{"app:staff", 1001, 50}}) {
    absl::StatusOr<User> user = Resolve(c.text);
    ASSERT_TRUE(user.ok()) << user.status();
    EXPECT_EQ(user->uid, c.uid) << c.text;
    EXPECT_EQ(user->gid, c.gid) << c.text;
    EXPECT_EQ(user->groups[0], c.gid) << c.text;
  }
}

TEST(UserLookupTest, NumericNamesAreNeverLookedUp) {
  UserRequest request;
  request.has_uid = true;
  request.uid = 1000;
  absl::StatusOr<User> user = ResolveUser(request, Image());
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->uid, 1000u);
  request.has_uid = false;
  request.username = "4294967296";
  EXPECT_FALSE(ResolveUser(request, Image()).ok());
  request.username = "-1000";
  EXPECT_FALSE(ResolveUser(request, Image()).ok());
}

TEST(UserLookupTest, PrimaryGroupComesFirstAndEachGroupOnce) {
  UserRequest request;
  request.username = "app";
  request.supplemental_groups = {50, 1234, 1002};
  absl::StatusOr<User> user = ResolveUser(request, Image());
  ASSERT_TRUE(user.ok());
  EXPECT_THAT(user->groups, ElementsAre(1002, 50, 10, 1234));
  EXPECT_EQ(user->home, "/srv/app");
  request.strict_groups = true;
  user = ResolveUser(request, Image());
  ASSERT_TRUE(user.ok());
  EXPECT_THAT(user->groups, ElementsAre(1002, 50, 1234));
}

TEST(UserLookupTest, BoundsTheClientsIds) {
  UserRequest request;
  request.has_uid = true;
  request.uid = 4294967296;
  EXPECT_THAT(ResolveUser(request, Image()).status().message(),
              HasSubstr("run_as_user"));
  request.uid = 1;
  request.supplemental_groups = {-1};
  EXPECT_THAT(ResolveUser(request, Image()).status().message(),
              HasSubstr("supplemental_groups"));
  request = UserRequest();
  request.has_gid = true;
  EXPECT_EQ(ResolveUser(request, Image()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(UserLookupTest, ControlCharactersNeverReachHome) {
  EXPECT_EQ(Resolve("bell")->home, "/");
}

TEST(UserLookupTest, RefusesAnOversizedDatabase) {
  UserDatabase database;
  database.passwd.assign(2 << 20, ':');
  UserRequest request;
  request.image_user = "app";
  EXPECT_EQ(ResolveUser(request, database).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// containerd gives gid 0 for "1000:" and "app:", Docker and podman the group
// of the user's entry, as this does.
TEST(UserLookupTest, NothingBehindTheColonIsTheUsersOwnGroup) {
  for (const char* text : {"1001:", "app:"}) {
    const absl::StatusOr<User> user = Resolve(text);
    ASSERT_TRUE(user.ok()) << text << ": " << user.status();
    EXPECT_EQ(user->uid, 1001u);
    EXPECT_EQ(user->gid, 1002u);
  }
  EXPECT_FALSE(Resolve(":50").ok());
  EXPECT_FALSE(Resolve(":").ok());
}

struct ToldUser {
  const char* text;
  int64_t uid;  // -1: none
  const char* name;
};

// The kubelet takes silence for root; what it hears as a name fails under
// runAsNonRoot.
TEST(UserLookupTest, ImageStatusSaysNoLessThanWhatCreateWouldDo) {
  for (const ToldUser& row :
       {ToldUser{"", -1, ""}, ToldUser{"1002", 1002, ""},
        ToldUser{"1002:5", 1002, ""}, ToldUser{"1000:", 1000, ""},
        ToldUser{"007", 7, ""}, ToldUser{"0", 0, ""}, ToldUser{"0:", 0, ""},
        ToldUser{"2147483647", 2147483647, ""},
        ToldUser{"www-data", -1, "www-data"},
        ToldUser{"www-data:", -1, "www-data"}, ToldUser{"app:staff", -1, "app"},
        // Refused at create: told as they stand.
        ToldUser{"2147483648", -1, "2147483648"},
        ToldUser{"4294967296", -1, "4294967296"},
        ToldUser{"-1000", -1, "-1000"}, ToldUser{"+0", -1, "+0"},
        ToldUser{" 0", -1, " 0"}, ToldUser{"0 ", -1, "0 "},
        ToldUser{":0", -1, ":0"}, ToldUser{":", -1, ":"},
        ToldUser{"1000:1001:7", -1, "1000:1001:7"}}) {
    const ImageUser user = ReadImageUser(row.text);
    EXPECT_EQ(user.has_uid, row.uid >= 0) << row.text;
    EXPECT_EQ(user.has_uid ? user.uid : -1, row.uid) << row.text;
    EXPECT_EQ(user.username, row.name) << row.text;
  }
}

}  // namespace
}  // namespace caisson::identity
