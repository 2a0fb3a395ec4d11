#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "runtime/image/manifest.h"

namespace caisson::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kDigest[] =
    "sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::string Json(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"'", "\""}, {"DIGEST", kDigest}});
}

TEST(ImageConfigTest, WhatContainersUseIsRead) {
  const std::string json = Json(
      "{'os': 'linux', 'config': {'User': 'app:wheel', 'Env': ['A=b', 'C'],"
      " 'Entrypoint': ['/e'], 'Cmd': ['c', ''], 'WorkingDir': '/w',"
      " 'StopSignal': 'SIGQUIT', 'Volumes': {'/v1': {}, '/v2': null},"
      " 'Unknown': 5}, 'rootfs': {'diff_ids': ['DIGEST', 'DIGEST']}}");
  const absl::StatusOr<ParsedConfig> parsed = ParseConfig(json);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->diff_ids, ElementsAre(kDigest, kDigest));
  EXPECT_EQ(parsed->config.user, "app:wheel");
  EXPECT_THAT(parsed->config.env, ElementsAre("A=b", "C"));
  EXPECT_THAT(parsed->config.entrypoint, ElementsAre("/e"));
  EXPECT_THAT(parsed->config.command, ElementsAre("c", ""));
  EXPECT_EQ(parsed->config.working_dir, "/w");
  EXPECT_EQ(parsed->config.stop_signal, "SIGQUIT");
  EXPECT_THAT(parsed->config.volumes, ElementsAre("/v1", "/v2"));
  EXPECT_EQ(parsed->config.json, json);
}

TEST(ImageConfigTest, AbsentAndNullMembersAreEmpty) {
  for (const char* text :
       {"{'rootfs': {}}", "{'rootfs': {'diff_ids': null}, 'config': null}",
        "{'rootfs': {'diff_ids': []}, 'config': {'Env': null, 'Cmd': null,"
        " 'Volumes': []}}"}) {
    const absl::StatusOr<ParsedConfig> parsed = ParseConfig(Json(text));
    ASSERT_TRUE(parsed.ok()) << text << parsed.status();
    EXPECT_THAT(parsed->diff_ids, IsEmpty());
    EXPECT_THAT(parsed->config.env, IsEmpty());
    EXPECT_THAT(parsed->config.volumes, IsEmpty());
  }
}

TEST(ImageConfigTest, WrongTypesAndOtherMachinesAreRefused) {
  struct Row {
    const char* json;
    const char* message;
  };

  const Row rows[] = {
      {"", "parse image config: not valid json"},
      {"[]", "read image config: no rootfs"},
      {"{}", "no rootfs"},
      {"{'rootfs': {'diff_ids': {}}}", "diff_ids: not an array"},
      {"{'rootfs': {'diff_ids': [1]}}", "diff_ids: not an array of strings"},
      {"{'rootfs': {'diff_ids': ['../x']}}", "diff_id \"../x\""},
      {"{'rootfs': {}, 'config': {'User': 0}}", "User: not a string"},
      {"{'rootfs': {}, 'config': {'Env': 'A=b'}}", "Env: not an array"},
      {"{'rootfs': {}, 'config': {'Cmd': ['a', []]}}",
       "Cmd: not an array of strings"},
      {"{'rootfs': {}, 'config': {'Entrypoint': {}}}", "Entrypoint: not an"},
      {"{'rootfs': {}, 'config': {'WorkingDir': []}}", "WorkingDir: not a"},
      {"{'rootfs': {}, 'os': 5}", "os: not a string"},
      {"{'rootfs': {}, 'os': 'windows'}", "it is for windows/"},
      {"{'rootfs': {}, 'architecture': 's390x'}", "it is for /s390x"},
  };
  for (const Row& row : rows) {
    const absl::Status status = ParseConfig(Json(row.json)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.json;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.message))
        << row.json;
  }
}

TEST(ImageConfigTest, OversizedTextIsRefused) {
  std::string json = "{\"rootfs\": {}}";
  json.resize(kMaxConfigBytes, ' ');
  EXPECT_TRUE(ParseConfig(json).ok());
  EXPECT_FALSE(ParseConfig(json + " ").ok());
}

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", text, "'");
}

// COUNT times TEXT, as the members of an array.
std::string Times(size_t count, const std::string& text) {
  std::string all;
  for (size_t i = 0; i < count; ++i) {
    absl::StrAppend(&all, i == 0 ? "" : ",", text);
  }
  return all;
}

absl::Status ParseMember(const std::string& member) {
  return ParseConfig(
             Json(absl::StrCat("{'rootfs': {}, 'config': {", member, "}}")))
      .status();
}

// What no execve takes is refused when the image is pulled, naming the member;
// what it takes is not.
TEST(ImageConfigTest, MoreThanAProcessCanBeGivenIsRefused) {
  const std::string longest = "A=" + std::string(kMaxStringBytes - 3, 'x');
  for (const char* member : {"Env", "Entrypoint", "Cmd"}) {
    const std::string start = absl::StrCat("'", member, "': [");
    EXPECT_TRUE(ParseMember(absl::StrCat(start, Quoted(longest), "]")).ok());
    EXPECT_THAT(
        std::string(ParseMember(absl::StrCat(start, Quoted(longest + "x"), "]"))
                        .message()),
        HasSubstr(absl::StrCat(member, " has a string of 131072")));
    // 47 of them fit into 6 MiB beside their pointers, 48 don't.
    EXPECT_TRUE(
        ParseMember(absl::StrCat(start, Times(47, Quoted(longest)), "]")).ok());
    EXPECT_THAT(
        std::string(
            ParseMember(absl::StrCat(start, Times(48, Quoted(longest)), "]"))
                .message()),
        HasSubstr(absl::StrCat(member, " makes its strings more than")));
  }
  // Together.
  const std::string half = Times(24, Quoted(longest));
  EXPECT_FALSE(
      ParseMember(absl::StrCat("'Env': [", half, "], 'Cmd': [", half, "]"))
          .ok());
  // Pointers count: a million empty strings are 9 MB.
  EXPECT_FALSE(
      ParseMember(absl::StrCat("'Cmd': [", Times(1000000, "''"), "]")).ok());
}

TEST(ImageConfigTest, VolumesAndWordsAreBounded) {
  const auto volumes = [](size_t count) {
    std::string all;
    for (size_t i = 0; i < count; ++i) {
      absl::StrAppend(&all, i == 0 ? "" : ",", "'/v", i, "': {}");
    }
    return absl::StrCat("'Volumes': {", all, "}");
  };
  EXPECT_TRUE(ParseMember(volumes(kMaxVolumes)).ok());
  EXPECT_THAT(std::string(ParseMember(volumes(kMaxVolumes + 1)).message()),
              HasSubstr("Volumes has 1025 paths, more than 1024"));
  for (const char* member : {"User", "WorkingDir", "StopSignal"}) {
    const std::string most = std::string(kMaxWordBytes, 'x');
    EXPECT_TRUE(
        ParseMember(absl::StrCat("'", member, "': ", Quoted(most))).ok());
    EXPECT_THAT(std::string(ParseMember(absl::StrCat("'", member,
                                                     "': ", Quoted(most + "x")))
                                .message()),
                HasSubstr(absl::StrCat(member, " has 4096 bytes")));
  }
}

}  // namespace
}  // namespace caisson::image
