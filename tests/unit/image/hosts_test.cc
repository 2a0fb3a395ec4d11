#include "runtime/image/hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace caisson::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// "url path [skip] [ca=...] [origin]" of each host.
std::vector<std::string> Lines(
    const absl::StatusOr<std::vector<RegistryHost>>& hosts) {
  if (!hosts.ok()) {
    return {std::string(hosts.status().message())};
  }
  std::vector<std::string> lines;
  for (const RegistryHost& host : *hosts) {
    lines.push_back(absl::StrCat(
        host.url, " ", host.api_path, host.skip_verify ? " skip" : "",
        host.ca_file.empty() ? "" : " ca=", host.ca_file,
        host.is_origin ? " origin" : ""));
  }
  return lines;
}

std::vector<std::string> Parse(const std::string& toml) {
  return Lines(ParseHosts(toml, "hosts.toml", "registry.example"));
}

TEST(HostsTest, HostsComeInTheirLinesOrderAndTheServerLast) {
  EXPECT_THAT(Parse("server = \"https://upstream.example\"\n"
                    "[host.\"https://z.example:5000\"]\n"
                    "capabilities = [\"pull\"]\n"
                    "skip_verify = true\n"
                    "[host.\"http://a.example/mirror/\"]\n"
                    "ca = \"/etc/ca.pem\"\n"
                    "[host.\"http://b.example/v2\"]\n"
                    "[host.\"http://c.example/x\"]\n"
                    "override_path = true\n"),
              ElementsAre("https://z.example:5000 /v2 skip",
                          "http://a.example /mirror/v2 ca=/etc/ca.pem",
                          "http://b.example /v2", "http://c.example /x",
                          "https://upstream.example /v2 origin"));
}

TEST(HostsTest, EmptyFileNamesTheRegistryItself) {
  EXPECT_THAT(Parse(""), ElementsAre("https://registry.example /v2 origin"));
  EXPECT_THAT(Lines(ParseHosts("", "f", "docker.io")),
              ElementsAre("https://registry-1.docker.io /v2 origin"));
  for (const char* name : {"localhost:5000", "127.0.0.1:1", "[::1]:1"}) {
    EXPECT_THAT(Lines(ParseHosts("", "f", name)),
                ElementsAre(absl::StrCat("http://", name, " /v2 origin")));
  }
  // Not loopback, though it begins so.
  EXPECT_THAT(Lines(ParseHosts("", "f", "localhost.evil.example")),
              ElementsAre("https://localhost.evil.example /v2 origin"));
  EXPECT_THAT(Lines(ParseHosts("", "f", "127.evil.example")),
              ElementsAre("https://127.evil.example /v2 origin"));
}

TEST(HostsTest, MalformedFilesAreRefusedWithFileAndKey) {
  struct Row {
    const char* toml;
    const char* message;
  };

  const Row rows[] = {
      {"[host", "read hosts.toml: "},
      // Found by fuzz_hosts.
      {"s.s\xcf\x8c.", "read hosts.toml: has characters that are not ASCII"},
      {"[{host.\" =x", "read hosts.toml: [{host.\\\" =x: not a table's"},
      {"a = 1\n [[\t{x", "not a table's header"},
      {"[[[x", "not a table's header"},
      {"[\nx = 1", "not a table's header"},
      {"server = 5", "read hosts.toml: key server: of the wrong type"},
      {"server = \"ftp://x\"", "host ftp://x: not an http or https url"},
      {"server = \"x.example\"", "host x.example: not an http or https url"},
      {"server = \"https://\"", "host https://: not a host's name"},
      {"server = \"https:///v2\"", "not a host's name and a path"},
      {"server = \"https://u:p@x.example\"", "not a host's name and a path"},
      {"server = \"https://x.example/?a\"", "not a host's name and a path"},
      {"server = \"https://x y\"", "not a host's name and a path"},
      {"server = \"https://x\\ny\"", "host https://x\\ny: not a host's name"},
      {"host = 5", "read hosts.toml: key host: not a table"},
      {"[host]\n\"http://x\" = 5", "host http://x: not a table"},
      {"[host.\"nonsense\"]", "host nonsense: not an http or https url"},
      {"[host.\"http://x\"]\nskip_verify = \"no\"",
       "read hosts.toml: http://x: key skip_verify: of the wrong type"},
      {"[host.\"http://x\"]\noverride_path = 1",
       "key override_path: of the wrong type"},
      {"[host.\"http://x\"]\nca = [1]", "key ca: of the wrong type"},
  };
  for (const Row& row : rows) {
    const absl::Status status =
        ParseHosts(row.toml, "hosts.toml", "r.example").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.toml;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.message));
  }
}

TEST(HostsTest, DeepNestingIsRefused) {
  EXPECT_FALSE(
      ParseHosts("a = " + std::string(100000, '['), "f", "r.example").ok());
}

class FindHostsTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/caisson-hosts.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }

  void TearDown() override {
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
  }

  void Write(const std::string& registry, const std::string& text) {
    mkdir((directory_ + "/" + registry).c_str(), 0755);
    std::ofstream(directory_ + "/" + registry + "/hosts.toml") << text;
  }

  std::string directory_;
};

TEST_F(FindHostsTest, RegistrysOwnFileGoesBeforeTheDefault) {
  EXPECT_THAT(Lines(FindHosts(directory_, "r.example")),
              ElementsAre("https://r.example /v2 origin"));
  Write("_default", "server = \"http://default.example\"");
  EXPECT_THAT(Lines(FindHosts(directory_, "r.example")),
              ElementsAre("http://default.example /v2 origin"));
  Write("r.example", "server = \"http://own.example\"");
  EXPECT_THAT(Lines(FindHosts(directory_, "r.example")),
              ElementsAre("http://own.example /v2 origin"));
}

TEST_F(FindHostsTest, OversizedFileIsRefused) {
  Write("r.example", std::string((1 << 20) + 1, '#'));
  EXPECT_THAT(Lines(FindHosts(directory_, "r.example")),
              ElementsAre(HasSubstr("not a file of at most 1 MiB")));
  Write("r.example", std::string(1 << 20, '#'));
  EXPECT_TRUE(FindHosts(directory_, "r.example").ok());
}

}  // namespace
}  // namespace caisson::image
