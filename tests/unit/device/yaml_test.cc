#include "runtime/device/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace caisson::device {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(absl::string_view text) {
  const absl::StatusOr<json::Value> value = ParseYaml(text, "f");
  EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(value.status().message());
}

TEST(YamlTest, IsTheJsonItStandsFor) {
  const absl::StatusOr<json::Value> value = ParseYaml(R"(---
# A comment.
cdiVersion: 0.5.0
devices:
- name: "0"
  mode: 0660
  list: [1, 0x10, 0o17, -3, 1.5]
- {yes: yes, no: false, none: ~, tagged: !!str 12}
text: |
  two
  lines
)",
                                                      "f");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(json::Dump(*value),
            R"({"cdiVersion":"0.5.0","devices":[)"
            R"({"list":[1,16,15,-3,"1.5"],"mode":432,"name":"0"},)"
            R"({"no":false,"none":null,"tagged":"12","yes":"yes"}],)"
            R"("text":"two\nlines\n"})");
}

TEST(YamlTest, WhatIsNotPlainIsRefused) {
  EXPECT_THAT(ErrorOf("a: &x [1]\nb: *x\n"), HasSubstr("line 2: an alias"));
  EXPECT_THAT(ErrorOf("a: 1\na: 2\n"), HasSubstr("key a is there twice"));
  EXPECT_THAT(ErrorOf("1: 2\n"), HasSubstr("a key is not text"));
  EXPECT_THAT(ErrorOf("a: !!binary eA==\n"), HasSubstr("tag"));
  EXPECT_THAT(ErrorOf("--- 1\n--- 2\n"), HasSubstr("second document"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("empty"));
  EXPECT_THAT(ErrorOf("a: [1\nb: 2\n"), HasSubstr("line"));
  EXPECT_THAT(ErrorOf("a: \"\xff\"\n"), HasSubstr("parse f"));
  EXPECT_THAT(ErrorOf(std::string(100, '[') + std::string(100, ']')),
              HasSubstr("deeper than 32"));
}

}  // namespace
}  // namespace caisson::device
