#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/support/machine.h"

// Removals that meet each other, and ids that mean more than one.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;

class RemovalTest : public LifeTest {
 protected:
  void TearDown() override {
    LifeTest::TearDown();
    std::error_code error;
    fs::remove_all(directory_ + "/removal", error);
    fs::remove(directory_ + "/cdi/removal.yaml", error);
  }

  // A device whose poststop hook takes its time and writes a line.
  void MakeDevice() {
    fs::create_directory(directory_ + "/removal");
    const std::string hook = directory_ + "/removal/hook";
    std::ofstream(hook) << "#!/bin/sh\nsleep 0.3\necho gone >>" << directory_
                        << "/removal/log\n";
    chmod(hook.c_str(), 0755);
    std::ofstream(directory_ + "/cdi/removal.yaml")
        << "cdiVersion: 1.1.0\nkind: test.com/removal\ndevices:\n"
        << "- name: \"0\"\n  containerEdits:\n    hooks:\n"
        << "    - hookName: poststop\n      path: " << hook << "\n"
        << "      env: [\"PATH=/usr/bin:/bin\"]\n";
  }
};

TEST_F(RemovalTest, OfSixteenAtOnceRunsHooksOnceAndReleasesOneImage) {
  MakeDevice();
  const std::string pod = Pod("pod");
  cri::CreateContainerRequest request =
      ContainerRequest(pod, Request("pod"), "app", {"sleep", "1000"});
  request.mutable_config()->add_cdi_devices()->set_name("test.com/removal=0");
  std::string id;
  const grpc::Status created = client_->CreateContainer(request, &id);
  ASSERT_TRUE(created.ok()) << created.error_message();
  ASSERT_TRUE(client_->StartContainer(id).ok());
  // Another one has the same image.
  const std::string other = Container(pod, "other");
  std::vector<std::future<grpc::Status>> removals;
  for (int i = 0; i < 16; ++i) {
    removals.push_back(Aside([this, id] {
      return CriClient(daemon_->SocketPath()).RemoveContainer(id);
    }));
  }
  for (std::future<grpc::Status>& removal : removals) {
    const grpc::Status status = removal.get();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_EQ(testing::ReadFile(directory_ + "/removal/log"), "gone\n");
  cri::ContainerStatusResponse status;
  EXPECT_EQ(client_->ContainerStatus(id, &status).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Output(other, {"echo", "well"}), "well\n");
}

// Pods are removed by several at once, too.
TEST_F(RemovalTest, OfOnePodByManyIsOne) {
  const std::string pod = Pod("pod", true);
  Container(pod, "app");
  std::vector<std::future<grpc::Status>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(Aside(
        [this, pod] { return CriClient(daemon_->SocketPath()).StopPod(pod); }));
    calls.push_back(Aside([this, pod] {
      return CriClient(daemon_->SocketPath()).RemovePod(pod);
    }));
  }
  for (std::future<grpc::Status>& call : calls) {
    const grpc::Status status = call.get();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_THAT(leftovers_->FindAfter(absl::Seconds(10)), ::testing::IsEmpty());
}

// Two of any 17 ids begin with the same digit.
TEST_F(RemovalTest, ByAnAmbiguousPrefixIsRefused) {
  const std::string pod = Pod("pod");
  std::set<char> seen;
  std::string prefix;
  for (int i = 0; i < 17 && prefix.empty(); ++i) {
    std::string id;
    ASSERT_TRUE(client_
                    ->CreateContainer(
                        ContainerRequest(pod, Request("pod"),
                                         absl::StrCat("c", i), {"sleep", "9"}),
                        &id)
                    .ok());
    if (!seen.insert(id[0]).second) {
      prefix = id.substr(0, 1);
    }
  }
  ASSERT_FALSE(prefix.empty());
  std::vector<cri::Container> before;
  ASSERT_TRUE(client_->Containers(&before).ok());
  for (const grpc::Status& status :
       {client_->StopContainer(prefix, 0), client_->RemoveContainer(prefix)}) {
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_THAT(status.error_message(), ::testing::HasSubstr(prefix));
  }
  std::vector<cri::Container> after;
  ASSERT_TRUE(client_->Containers(&after).ok());
  EXPECT_EQ(after.size(), before.size());
  for (const cri::Container& container : after) {
    EXPECT_EQ(container.state(), cri::CONTAINER_CREATED);
  }
  // Unknown is gone, whatever it was.
  EXPECT_TRUE(client_->RemoveContainer("nothing-of-that-name").ok());
}

}  // namespace
}  // namespace caisson::cri_test
