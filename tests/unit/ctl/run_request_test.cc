#include "shim/ctl/run_request.h"

#include <string>

#include "gtest/gtest.h"

namespace caisson::ctl {
namespace {

namespace cri = ::runtime::v1;

TEST(RunRequestTest, APodIsNamedAfterItsRun) {
  const cri::PodSandboxConfig pod = PodConfig({}, "0123456789abcdef", "/logs");
  EXPECT_EQ(pod.metadata().name(), "run-01234567");
  EXPECT_EQ(pod.hostname(), "run-01234567");
  EXPECT_EQ(pod.log_directory(), "/logs");
  EXPECT_EQ(pod.labels().at(kRunLabel), "0123456789abcdef");
}

TEST(RunRequestTest, TheHostsNetworkComesWithItsName) {
  RunOptions options;
  options.host_network = true;
  const cri::PodSandboxConfig pod = PodConfig(options, "0123456789", "/logs");
  EXPECT_EQ(pod.hostname(), "");
  EXPECT_EQ(pod.linux().security_context().namespace_options().network(),
            cri::NODE);
}

TEST(RunRequestTest, UsersAreNumbersOrNames) {
  RunOptions options;
  options.user = "7:8";
  absl::StatusOr<cri::ContainerConfig> config = ContainerConfigOf(options, "i");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->linux().security_context().run_as_user().value(), 7);
  EXPECT_EQ(config->linux().security_context().run_as_group().value(), 8);
  options.user = "web";
  config = ContainerConfigOf(options, "i");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->linux().security_context().has_run_as_user());
  EXPECT_EQ(config->linux().security_context().run_as_username(), "web");
  for (const char* wrong : {"7:x", "web:8", "1:2:3", ":", "-1:0"}) {
    options.user = wrong;
    EXPECT_FALSE(ContainerConfigOf(options, "i").ok()) << wrong;
  }
}

TEST(RunRequestTest, MountsAndVariablesAreChecked) {
  RunOptions options;
  options.mounts = {"/a:/b", "/c:/d:ro"};
  options.environment = {"A=b=c", "E="};
  const absl::StatusOr<cri::ContainerConfig> config =
      ContainerConfigOf(options, "i");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->mounts_size(), 2);
  EXPECT_FALSE(config->mounts(0).readonly());
  EXPECT_TRUE(config->mounts(1).readonly());
  EXPECT_EQ(config->envs(0).key(), "A");
  EXPECT_EQ(config->envs(0).value(), "b=c");
  for (const char* wrong : {"/a", "/a:", ":/b", "/a:/b:rw"}) {
    options.mounts = {wrong};
    EXPECT_FALSE(ContainerConfigOf(options, "i").ok()) << wrong;
  }
  options.mounts.clear();
  options.environment = {"=x"};
  EXPECT_FALSE(ContainerConfigOf(options, "i").ok());
}

}  // namespace
}  // namespace caisson::ctl
