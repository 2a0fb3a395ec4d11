#include <gmock/gmock.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/security/group_c_fixture.h"
#include "tests/support/machine.h"

// Rows C15 to C17: passwd and group of an image are data of the image, and
// bounded.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;

// In the lower layers it is somebody else, whom no upper one may bring back.
constexpr char kLine[] = "default-user:x:1234:1234::/:/bin/sh\n";
constexpr size_t kMebibyte = 1 << 20;
// Of the stored files each.
constexpr size_t kMaxDatabase = kMebibyte;

class PasswdEscapeTest : public GroupCTest {
 protected:
  static Json Config(const std::string& user) {
    return {{"Entrypoint", {"/caisson-probe"}}, {"User", user}};
  }

  // An image of these members whose user is a name.
  grpc::Status TryNamed(const Json& members,
                        const std::string& user = "default-user") {
    std::string name;
    const grpc::Status pulled = TryPull(members, Config(user), &name);
    return pulled.ok() ? TryImage(name) : pulled;
  }

  // Bytes of memory that the daemon has had at once since Forget.
  size_t Peak() {
    const std::string text = ::caisson::testing::ReadFile(Proc() + "/status");
    const size_t at = text.find("VmHWM:");
    size_t kibibytes = 0;
    EXPECT_TRUE(absl::SimpleAtoi(
        absl::StripSuffix(text.substr(at + 6, text.find(" kB", at) - at - 6),
                          " "),
        &kibibytes));
    return kibibytes * 1024;
  }

  void Forget() { std::ofstream(Proc() + "/clear_refs") << "5"; }

 private:
  std::string Proc() {
    return "/proc/" +
           std::string(absl::StripAsciiWhitespace(
               ::caisson::testing::ReadFile(directory_ + "/caissond.pid")));
  }
};

CAISSON_BOTH_MODES(PasswdEscapeTest);

// CVE-2024-9676.
TEST_P(PasswdEscapeTest, C15LinksOfAnImageLeadToNoFileOfTheHost) {
  const Canary canary;
  std::ofstream(canary.path() + "/passwd") << kLine;
  const std::string before = canary.Fingerprint();
  const std::string target = canary.path() + "/passwd";
  std::vector<Json> members = {
      {{"name", "etc/passwd"}, {"type", "link"}, {"target", target}},
      {{"name", "etc/passwd"},
       {"type", "link"},
       {"target", "../../../../../../.." + target}},
      {{"name", "etc"}, {"type", "link"}, {"target", canary.path()}},
  };
  if (OwnUsers()) {
    members.push_back(
        {{"name", "etc/passwd"}, {"type", "link"}, {"target", "/dev/zero"}});
    members.push_back({{"name", "etc/passwd"}, {"type", "fifo"}});
    members.push_back({{"name", "etc/passwd"}, {"type", "dir"}});
  }
  for (const Json& member : members) {
    const grpc::Status status = TryNamed(Json::array({member}));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << member;
    EXPECT_THAT(status.error_message(), HasSubstr("find user \"default-user\""))
        << member;
  }
  EXPECT_EQ(canary.Fingerprint(), before);
  // Of devices there are none in layers: the lower file is what counts.
  const grpc::Status zero = TryNamed(
      {{{"name", "etc/passwd"}, {"type", "char"}, {"major", 1}, {"minor", 5}}});
  ASSERT_TRUE(zero.ok()) << zero.error_message();
  EXPECT_EQ(Report(zero.error_message())["uid"], 1000);
  // As a file of the image's own it is heard.
  const grpc::Status plain =
      TryNamed({{{"name", "etc/passwd"}, {"data", kLine}, {"mode", "0644"}}});
  ASSERT_TRUE(plain.ok()) << plain.error_message();
  EXPECT_EQ(Report(plain.error_message())["uid"], 1234);
}

// A hard link is another name of a file of the image.
TEST_P(PasswdEscapeTest, C15HardLinksStayInTheImage) {
  const Canary canary;
  std::ofstream(canary.path() + "/passwd") << kLine;
  const std::string before = canary.Fingerprint();
  const grpc::Status status =
      TryNamed({{{"name", "etc/passwd"},
                 {"type", "hardlink"},
                 {"target", canary.path() + "/passwd"}}});
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(canary.Fingerprint(), before);
}

// CVE-2025-4437: one line of 64 MiB, and as many short ones.
TEST_P(PasswdEscapeTest, C16APasswdWithoutEndIsNotReadIntoMemory) {
  Forget();
  const size_t before = Peak();
  const Json member = {{"name", "etc/passwd"},
                       {"data", kLine},
                       {"fill", 64 * kMebibyte},
                       {"mode", "0644"}};
  std::string image;
  ASSERT_TRUE(
      TryPull(Json::array({member}), Config("default-user"), &image).ok());
  const grpc::Status named = TryImage(image);
  EXPECT_EQ(named.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(named.error_message(), HasSubstr("find user \"default-user\""));
  const grpc::Status number = TryImage(image, [](auto& it) {
    Security(it).mutable_run_as_user()->set_value(77);
  });
  EXPECT_TRUE(number.ok()) << number.error_message();
  EXPECT_LT(Peak(), before + 32 * kMebibyte);
}

// CVE-2026-47262: a group of very many members; at the bound it counts, above
// it nobody is in it.
TEST_P(PasswdEscapeTest, C17AGroupWithoutEndIsNotReadIntoMemory) {
  const std::string head = "crowd:x:5000:default-user";
  const auto image = [&](size_t size, size_t fill) {
    std::string group = head;
    while (group.size() + 3 < size) {
      group += ",ab";
    }
    group.resize(size - 1, 'x');
    return Json::array(
        {{{"name", "etc/passwd"}, {"data", kLine}, {"mode", "0644"}},
         {{"name", "etc/group"},
          {"data", group + "\n"},
          {"fill", fill},
          {"mode", "0644"}}});
  };
  Forget();
  const size_t before = Peak();
  const grpc::Status at = TryNamed(image(kMaxDatabase, 0));
  ASSERT_TRUE(at.ok()) << at.error_message();
  const std::vector<int> groups = Report(at.error_message())["groups"];
  EXPECT_THAT(groups, ::testing::ElementsAre(1234, 5000));
  for (const size_t fill : {size_t{1}, 64 * kMebibyte}) {
    const grpc::Status above = TryNamed(image(kMaxDatabase, fill));
    ASSERT_TRUE(above.ok()) << above.error_message();
    const std::vector<int> own = Report(above.error_message())["groups"];
    EXPECT_THAT(own, ::testing::ElementsAre(1234)) << fill;
  }
  EXPECT_LT(Peak(), before + 32 * kMebibyte);
}

TEST_P(PasswdEscapeTest, C17AGroupThatIsNoFileIsNoGroup) {
  for (const char* type : {"fifo", "dir"}) {
    const grpc::Status status =
        TryNamed({{{"name", "etc/passwd"}, {"data", kLine}, {"mode", "0644"}},
                  {{"name", "etc/group"}, {"type", type}}},
                 "default-user:group-defined-in-image");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << type;
    EXPECT_THAT(status.error_message(),
                HasSubstr("find group \"group-defined-in-image\""))
        << type;
  }
}

}  // namespace
}  // namespace caisson::cri_test
