#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "runtime/identity/capabilities.h"
#include "tests/cri/fields/fields_fixture.h"

// What the policies of a handler do, with the handlers that
// hack/with_caissond.sh configures.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class PolicyFieldsTest : public FieldsTest {
 protected:
  void TearDown() override {
    FieldsTest::TearDown();
    std::error_code error;
    for (const char* name : {"/volume", "/kubelet", "/node"}) {
      fs::remove_all(directory_ + name, error);
    }
  }

  // A directory of root's with a file in it.
  std::string Volume(const std::string& name) {
    const std::string path = directory_ + name;
    fs::create_directories(path);
    std::ofstream(path + "/file") << "data\n";
    return path;
  }

  EditContainer Both() {
    return [this](cri::ContainerConfig& it) {
      cri::Mount& mine = *it.add_mounts();
      mine.set_host_path(Volume("/kubelet/pods/1/volume"));
      mine.set_container_path("/mine");
      cri::Mount& hosts = *it.add_mounts();
      hosts.set_host_path(Volume("/volume"));
      hosts.set_container_path("/hosts");
    };
  }

  // A device of the host that only its root may open: that of FUSE.
  EditContainer Device(int64_t user, int64_t group) {
    const std::string node = directory_ + "/node";
    fs::remove(node);
    EXPECT_EQ(mknod(node.c_str(), S_IFCHR | 0640, makedev(10, 229)), 0);
    return [=](cri::ContainerConfig& it) {
      cri::Device& device = *it.add_devices();
      device.set_host_path(node);
      device.set_container_path("/dev/owned");
      device.set_permissions("r");
      auto& security = *it.mutable_linux()->mutable_security_context();
      security.mutable_run_as_user()->set_value(user);
      security.mutable_run_as_group()->set_value(group);
    };
  }
};

// The kubelet's own ids, as with hostUsers: false.
void GiveIds(cri::PodSandboxConfig& pod) {
  cri::UserNamespace& users = *pod.mutable_linux()
                                   ->mutable_security_context()
                                   ->mutable_namespace_options()
                                   ->mutable_userns_options();
  users.set_mode(cri::POD);
  for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
    map->set_host_id(1900000000);
    map->set_length(65536);
  }
}

Json IdsOf(const Json& info, const std::string& target) {
  for (const Json& mount : info["mounts"]) {
    if (mount["target"] == target) {
      return mount;
    }
  }
  return Json();
}

TEST_F(PolicyFieldsTest, HostPathsAreMappedByDefault) {
  const std::string container = Start(Pod(), Both());
  EXPECT_EQ(Try(container, {"write", "/hosts/new", "x"}), "OK");
  EXPECT_EQ(IdsOf(Info(container), "/hosts")["ids"], "mapped");
}

TEST_F(PolicyFieldsTest, HostPathsAreUnmappedWhereTheHandlerSaysSo) {
  for (const EditPod& edit : {EditPod(), EditPod(GiveIds)}) {
    const std::string container = Start(Pod(edit, "test-unmapped"), Both());
    EXPECT_EQ(Try(container, {"write", "/mine/new", "x"}), "OK");
    EXPECT_EQ(Read(container, "/hosts/file"), "data");
    EXPECT_EQ(Try(container, {"write", "/hosts/new", "x"}), "EACCES");
    EXPECT_EQ(Probe(container, {"stat", "/mine/file"})["uid"], 0);
    EXPECT_EQ(Probe(container, {"stat", "/hosts/file"})["uid"], 65534);
    // Ours are no paths of the host.
    EXPECT_EQ(Probe(container, {"stat", "/etc/hosts"})["uid"], 0);
    const Json info = Info(container);
    EXPECT_EQ(IdsOf(info, "/mine")["ids"], "mapped");
    EXPECT_EQ(IdsOf(info, "/hosts")["ids"], "unmapped");
  }
}

TEST_F(PolicyFieldsTest, HostPathsAreRefusedWhereTheHandlerSaysSo) {
  for (const EditPod& edit : {EditPod(), EditPod(GiveIds)}) {
    const grpc::Status status = TryCreate(Pod(edit, "test-strict"), Both());
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(),
                AllOf(HasSubstr("config.mounts[1].host_path"),
                      HasSubstr("handler test-strict")));
  }
  const std::string container =
      Start(Pod(nullptr, "test-strict"), [&](auto& it) {
        Both()(it);
        it.mutable_mounts()->RemoveLast();
      });
  EXPECT_EQ(Read(container, "/mine/file"), "data");
}

TEST_F(PolicyFieldsTest, TheStatusOfAPodNamesItsHandler) {
  for (const auto& [asked, named] :
       {std::pair{"", "caisson"}, std::pair{"test-strict", "test-strict"}}) {
    cri::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(Pod(nullptr, asked));
    request.set_verbose(true);
    cri::PodSandboxStatusResponse response;
    const grpc::Status status =
        Call(&cri::RuntimeService::Stub::PodSandboxStatus, request, response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    const Json info = Json::parse(response.info().at("info"));
    EXPECT_EQ(info["runtimeHandler"], named);
  }
}

TEST_F(PolicyFieldsTest, CapabilitiesHaveACeiling) {
  const std::string pod = Pod(nullptr, "test-strict");
  const auto add = [](const char* name) {
    return [=](cri::ContainerConfig& it) {
      it.mutable_linux()
          ->mutable_security_context()
          ->mutable_capabilities()
          ->add_add_capabilities(name);
    };
  };
  const auto bounding = [&](const std::string& container) {
    return std::string(Report(container)["capabilities"]["bounding"]);
  };
  EXPECT_EQ(bounding(Start(pod)), "0000000000000021");
  EXPECT_EQ(bounding(Start(pod, add("NET_ADMIN"))), "0000000000001021");
  for (const char* name : {"NET_RAW", "ALL"}) {
    const grpc::Status status = TryCreate(pod, add(name));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(),
                AllOf(HasSubstr("CAP_NET_RAW"), HasSubstr("test-strict")));
  }
  const grpc::Status all = TryCreate(pod, [](auto& it) {
    it.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  EXPECT_EQ(all.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(PolicyFieldsTest, PrivilegedWithoutTheDevicesOfTheHost) {
  const std::string pod = Pod(
      [](auto& it) {
        it.mutable_linux()->mutable_security_context()->set_privileged(true);
      },
      "test-host");
  const std::string container = Start(pod, [](auto& it) {
    it.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  EXPECT_EQ(Try(container, {"open", "/dev/null", "w"}), "OK");
  EXPECT_EQ(Try(container, {"open", "/dev/kmsg", "r"}), "ENOENT");
  EXPECT_EQ(Report(container)["seccomp"], 0);
}

TEST_F(PolicyFieldsTest, DevicesAreTheUsersWhereTheHandlerSaysSo) {
  const std::string plain = Start(Pod(), Device(1000, 1000));
  EXPECT_EQ(Try(plain, {"open", "/dev/owned", "r"}), "EACCES");
  for (const char* handler : {"test-unmapped", "test-host"}) {
    const std::string pod = Pod(nullptr, handler);
    const std::string container = Start(pod, Device(1000, 2000));
    // ENODEV without the module.
    EXPECT_THAT(Try(container, {"open", "/dev/owned", "r"}),
                AnyOf("OK", "ENODEV"));
    // The filter of devices holds as ever.
    EXPECT_EQ(Try(container, {"open", "/dev/owned", "w"}), "EPERM") << handler;
    const Json facts = Probe(container, {"stat", "/dev/owned"});
    EXPECT_EQ(facts["uid"], 1000) << handler;
    EXPECT_EQ(facts["gid"], 2000) << handler;
    EXPECT_EQ(facts["mode"], 0640) << handler;
    // The group alone.
    const std::string group = Start(pod, Device(0, 2000));
    EXPECT_EQ(Probe(group, {"stat", "/dev/owned"})["gid"], 2000) << handler;
    // The host's node is as it was.
    struct stat host = {};
    ASSERT_EQ(stat((directory_ + "/node").c_str(), &host), 0);
    EXPECT_EQ(host.st_uid, 0u);
    EXPECT_EQ(host.st_gid, 0u);
  }
}

TEST_F(PolicyFieldsTest, RlimitsAreTheConfiguredAsFarAsTheMachineAllows) {
  const std::string container = Start(Pod());
  const Json limits = Report(container)["rlimits"];
  EXPECT_EQ(limits["core"]["soft"], 0);
  rlimit core = {};
  rlimit queues = {};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &core), 0);
  ASSERT_EQ(getrlimit(RLIMIT_MSGQUEUE, &queues), 0);
  const bool raises = (identity::HeldCapabilities() & (uint64_t{1} << 24)) != 0;
  EXPECT_EQ(limits["core"]["hard"],
            raises ? 65536 : std::min<rlim_t>(core.rlim_max, 65536));
  if (raises || queues.rlim_max == RLIM_INFINITY) {
    EXPECT_EQ(limits["msgqueue"]["hard"], "unlimited");
  } else {
    EXPECT_EQ(limits["msgqueue"]["hard"], queues.rlim_max);
    EXPECT_EQ(limits["msgqueue"]["soft"], queues.rlim_max);
  }
}

}  // namespace
}  // namespace caisson::cri_test
