#include "shim/config/config.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shim/config/keys.h"

namespace caisson::config {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    std::string path = absl::StrCat(testing::TempDir(), "caisson-cfg-XXXXXX");
    const int fd = ::mkstemp(path.data());
    EXPECT_GE(fd, 0);
    ::close(fd);
    path_ = path;
  }

  ~ConfigTest() override { ::unlink(path_.c_str()); }

  absl::StatusOr<Config> LoadText(absl::string_view text) {
    std::ofstream(path_, std::ios::trunc) << text;
    return Load(path_);
  }

  // The message for `text`, without the file's name.
  std::string ErrorOf(absl::string_view text) {
    const absl::StatusOr<Config> config = LoadText(text);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message(config.status().message());
    EXPECT_EQ(message.rfind(path_, 0), 0u) << message;
    return message.substr(path_.size());
  }

  std::string path_;
};

TEST_F(ConfigTest, AnEmptyFileMeansTheDefaults) {
  const absl::StatusOr<Config> config = LoadText("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(*config, Config{});
}

TEST_F(ConfigTest, TheDefaultFileReadsBackToTheDefaults) {
  const absl::StatusOr<Config> config = LoadText(DefaultToml());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(*config, Config{});
}

TEST_F(ConfigTest, TheDefaultFileExplainsEveryKey) {
  const std::string text = DefaultToml();
  for (const Key& key : Keys()) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n# ", key.comment, "\n",
                                             key.name, " = ")));
  }
}

TEST_F(ConfigTest, TheDefaultFileExplainsTheKeysOfHandlers) {
  const std::string text = DefaultToml();
  for (const HandlerKey& key : HandlerKeys()) {
    const absl::string_view line =
        key.comment.substr(0, key.comment.find('\n'));
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n# ", key.name, ": ", line)));
  }
}

TEST_F(ConfigTest, HandlersHaveTheirPolicies) {
  const absl::StatusOr<Config> config = LoadText(R"(
    kubelet_dir = "/data/kubelet"
    [handlers.strict]
    host_path = "refuse"
    unmappable = "unmapped"
    capability_ceiling = ["CHOWN", "cap_kill"]
    privileged_without_host_devices = true
    device_ownership_from_security_context = true
    [handlers.none]
    host_path = "unmapped"
    unmappable = "refuse"
    capability_ceiling = []
  )");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->kubelet_dir, "/data/kubelet");
  Handler strict;
  strict.host_path = HostPathPolicy::kRefuse;
  strict.unmappable = UnmappablePolicy::kUnmapped;
  strict.capability_ceiling = (1u << 0) | (1u << 5);
  strict.privileged_without_host_devices = true;
  strict.device_ownership_from_security_context = true;
  EXPECT_EQ(config->handlers.at("strict"), strict);
  Handler none;
  none.host_path = HostPathPolicy::kUnmapped;
  none.capability_ceiling = 0;
  EXPECT_EQ(config->handlers.at("none"), none);
}

TEST_F(ConfigTest, PoliciesAreChecked) {
  const auto error = [this](absl::string_view line) {
    return ErrorOf(absl::StrCat("[handlers.a]\n", line, "\n"));
  };
  EXPECT_EQ(error("host_path = \"deny\""),
            ":2: handlers.a.host_path must be \"map\" or \"unmapped\" or "
            "\"refuse\"");
  EXPECT_THAT(error("unmappable = true"), HasSubstr("must be \"refuse\" or"));
  EXPECT_THAT(error("capability_ceiling = \"CHOWN\""),
              HasSubstr("must be an array"));
  EXPECT_THAT(error("capability_ceiling = [\"ALL\"]"),
              HasSubstr("capability_ceiling must have names of capabilities"));
  EXPECT_THAT(error("capability_ceiling = [7]"), HasSubstr("unknown name"));
  EXPECT_THAT(error("privileged_without_host_devices = 1"),
              HasSubstr("must be true or false"));
  EXPECT_THAT(ErrorOf("kubelet_dir = \"var\""), HasSubstr("absolute path"));
}

TEST_F(ConfigTest, ReadsRlimits) {
  const absl::StatusOr<Config> config = LoadText(R"(
    [limits.rlimits]
    core = "0:unlimited"
    nproc = "unlimited"
    memlock = 65536
    stack = "8388608:16777216"
  )");
  ASSERT_TRUE(config.ok()) << config.status();
  const std::map<std::string, Rlimit>& limits = config->limits.rlimits;
  EXPECT_EQ(limits.at("core"), (Rlimit{RLIMIT_CORE, 0, RLIM_INFINITY}));
  EXPECT_EQ(limits.at("nproc"),
            (Rlimit{RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY}));
  EXPECT_EQ(limits.at("memlock"), (Rlimit{RLIMIT_MEMLOCK, 65536, 65536}));
  EXPECT_EQ(limits.at("stack"), (Rlimit{RLIMIT_STACK, 8388608, 16777216}));
}

TEST_F(ConfigTest, RlimitsAreChecked) {
  const auto error = [this](absl::string_view line) {
    return ErrorOf(absl::StrCat("[limits.rlimits]\n", line, "\n"));
  };
  EXPECT_EQ(error("cores = 0"),
            ":2: limits.rlimits.cores is not the name of a limit");
  EXPECT_THAT(error("nofile = 5"), HasSubstr("limits.nofile_soft"));
  for (const char* line :
       {"core = -1", "core = true", "core = \"\"", "core = \"1:\"",
        "core = \"1:2:3\"", "core = \"18446744073709551615\""}) {
    EXPECT_THAT(error(line), HasSubstr("must be \"SOFT:HARD\"")) << line;
  }
  EXPECT_THAT(error("core = \"2:1\""), HasSubstr("soft limit above"));
  EXPECT_THAT(ErrorOf("limits.rlimits = 1"), HasSubstr("must be a table"));
}

TEST_F(ConfigTest, ReadsEveryKindOfValue) {
  const absl::StatusOr<Config> config = LoadText(R"(
    log_level = "debug"
    allow_faults = true
    default_handler = "strict"
    [cni]
    bin_dirs = ["/a/b", "/c"]
    timeout_seconds = 7
    [limits]
    shm_bytes = 1_000_000
    [handlers.strict]
    user_namespace = "requested"
  )");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_TRUE(config->allow_faults);
  EXPECT_THAT(config->cni.bin_dirs, ElementsAre("/a/b", "/c"));
  EXPECT_EQ(config->cni.timeout_seconds, 7u);
  EXPECT_EQ(config->limits.shm_bytes, 1000000u);
  EXPECT_EQ(config->handlers.at("strict").user_namespace,
            UserNamespacePolicy::kRequested);
  EXPECT_EQ(config->handlers.count("caisson"), 1u);
}

TEST_F(ConfigTest, AnUnknownKeyIsNamedWithItsLine) {
  EXPECT_EQ(ErrorOf("root = \"/x\"\nrots = 1\n"),
            ":2: rots is not a known key");
  EXPECT_EQ(ErrorOf("[cni]\nconf_dri = \"/x\"\n"),
            ":2: cni.conf_dri is not a known key");
  EXPECT_EQ(ErrorOf("[cnx]\nconf_dir = \"/x\"\n"),
            ":1: cnx is not a known key");
  EXPECT_EQ(ErrorOf("[handlers.a]\n\nuserns = true\n"),
            ":3: handlers.a.userns is not a known key");
}

TEST_F(ConfigTest, AWrongTypeIsAnError) {
  EXPECT_EQ(ErrorOf("root = 1"), ":1: root must be a string");
  EXPECT_EQ(ErrorOf("allow_faults = 1"),
            ":1: allow_faults must be true or false");
  EXPECT_EQ(ErrorOf("cni = 1"), ":1: cni must be a table");
  EXPECT_EQ(ErrorOf("handlers.a = 1"), ":1: handlers.a must be a table");
  EXPECT_EQ(ErrorOf("cni.timeout_seconds = 1.5"),
            ":1: cni.timeout_seconds must be an integer");
  EXPECT_THAT(ErrorOf("cni.bin_dirs = []"), EndsWith("not empty"));
  EXPECT_EQ(ErrorOf("cni.bin_dirs = [1]"), ":1: cni.bin_dirs must be a string");
}

TEST_F(ConfigTest, NumbersHaveBounds) {
  EXPECT_EQ(ErrorOf("cni.timeout_seconds = 0"),
            ":1: cni.timeout_seconds must be between 1 and 3600");
  EXPECT_THAT(ErrorOf("cni.timeout_seconds = -1"), HasSubstr("between"));
  EXPECT_THAT(ErrorOf("image.puller_uid = 0"), HasSubstr("between"));
  EXPECT_THAT(ErrorOf("image.puller_uid = 4294967295"), HasSubstr("between"));
  EXPECT_THAT(ErrorOf("identity.first = 0"), HasSubstr("between"));
}

TEST_F(ConfigTest, StringsAreChecked) {
  for (const char* path : {"", "x", "/", "/a/../b", "/a//b", "/a/"}) {
    EXPECT_THAT(ErrorOf(absl::StrCat("root = \"", path, "\"")),
                HasSubstr("must be an absolute path"))
        << path;
  }
  EXPECT_THAT(
      ErrorOf(absl::StrCat("socket = \"/", std::string(107, 'x'), "\"")),
      HasSubstr("shorter"));
  EXPECT_THAT(ErrorOf("log_level = \"loud\""), HasSubstr("must be debug"));
  EXPECT_THAT(ErrorOf("cgroup.parent = \"../x\""), HasSubstr("relative"));
  EXPECT_THAT(ErrorOf("cgroup.driver = \"runc\""),
              HasSubstr("auto, cgroupfs or systemd"));
  EXPECT_THAT(ErrorOf("cdi.spec_dirs = [\"cdi\"]"), HasSubstr("absolute"));
  EXPECT_THAT(ErrorOf("cdi.hook_timeout_seconds = 0"), HasSubstr("between"));
  EXPECT_THAT(ErrorOf("image.volumes = \"tmpfs\""),
              HasSubstr("must be writable or ignore"));
  EXPECT_THAT(ErrorOf("identity.subid_name = \"a:b\""), HasSubstr("subuid"));
  EXPECT_THAT(ErrorOf("[handlers.Big]\n"), HasSubstr("lower-case"));
  EXPECT_THAT(ErrorOf("[handlers.a]\nuser_namespace = \"never\"\n"),
              HasSubstr("must be \"always\" or \"requested\""));
}

TEST_F(ConfigTest, ValuesMustAgree) {
  EXPECT_THAT(ErrorOf("default_handler = \"gone\""),
              HasSubstr("there is no handler gone"));
  EXPECT_THAT(ErrorOf("limits.nofile_hard = 100"), HasSubstr("exceed"));
  EXPECT_THAT(ErrorOf("identity.slots = 65000"), HasSubstr("largest id"));
  EXPECT_THAT(ErrorOf("cgroup.keepers = \"caisson\""), HasSubstr("differ"));
}

TEST_F(ConfigTest, BrokenTomlIsNamedWithItsLine) {
  EXPECT_THAT(ErrorOf("root = \"/x\"\nstate = \n"),
              testing::MatchesRegex(":[23]: .*"));
}

TEST_F(ConfigTest, AHugeFileIsRefused) {
  const absl::StatusOr<Config> config =
      LoadText(std::string((1 << 20) + 1, '#'));
  EXPECT_THAT(std::string(config.status().message()),
              HasSubstr("longer than 1048576 bytes"));
}

TEST_F(ConfigTest, AMissingFileIsNotFound) {
  EXPECT_EQ(Load(path_ + ".missing").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace caisson::config
