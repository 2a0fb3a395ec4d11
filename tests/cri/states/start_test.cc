#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/cri/fixture/list_watch.h"

// What a container is at the moment of an answer.
namespace caisson::cri_test {
namespace {

class StartTest : public LifeTest {};

TEST_F(StartTest, ThatFailsHasEndedWith128AtItsAnswer) {
  const std::string pod = Pod("pod");
  for (int i = 0; i < 20; ++i) {
    std::string id;
    ASSERT_TRUE(client_
                    ->CreateContainer(ContainerRequest(pod, Request("pod"),
                                                       absl::StrCat("c", i),
                                                       {"/there/is/none"}),
                                      &id)
                    .ok());
    const grpc::Status started = client_->StartContainer(id);
    ASSERT_FALSE(started.ok());
    cri::ContainerStatusResponse response;
    ASSERT_TRUE(client_->ContainerStatus(id, &response).ok());
    ASSERT_EQ(response.status().state(), cri::CONTAINER_EXITED) << i;
    ASSERT_EQ(response.status().exit_code(), 128) << i;
    EXPECT_EQ(response.status().reason(), "StartError");
    EXPECT_THAT(response.status().message(),
                ::testing::HasSubstr("/there/is/none"));
  }
}

// The CPU manager updates one container after the other: one that takes its
// time to stop may not hold up the rest.
TEST_F(StartTest, AnUpdateDoesNotWaitForAStop) {
  const std::string container = Container(Pod("pod"), "app");
  std::future<grpc::Status> stop = Aside([this, container] {
    return CriClient(daemon_->SocketPath()).StopContainer(container, 5);
  });
  absl::SleepFor(absl::Milliseconds(300));
  cri::UpdateContainerResourcesRequest request;
  request.set_container_id(container);
  request.mutable_linux()->set_cpu_shares(512);
  cri::UpdateContainerResourcesResponse response;
  grpc::ClientContext context;
  SetTime(context, absl::Seconds(30));
  const absl::Time begin = absl::Now();
  const grpc::Status updated =
      client_->runtime().UpdateContainerResources(&context, request, &response);
  const absl::Duration took = absl::Now() - begin;
  EXPECT_TRUE(updated.ok()) << updated.error_message();
  EXPECT_LT(took, OnThisMachine(absl::Milliseconds(300)));
  cri::ContainerStatusResponse status;
  EXPECT_TRUE(client_->ContainerStatus(container, &status).ok());
  EXPECT_EQ(status.status().resources().linux().cpu_shares(), 512);
  EXPECT_EQ(status.status().state(), cri::CONTAINER_RUNNING);
  EXPECT_TRUE(stop.get().ok());
}

// A second stop with less time is what counts; with more it is not.
TEST_F(StartTest, AStopIsBroughtForwardByALaterOne) {
  const std::string container = Container(Pod("pod"), "app");
  std::future<grpc::Status> stop = Aside([this, container] {
    return CriClient(daemon_->SocketPath()).StopContainer(container, 40);
  });
  absl::SleepFor(absl::Milliseconds(300));
  const absl::Time begin = absl::Now();
  const grpc::Status second = client_->StopContainer(container, 0);
  EXPECT_TRUE(second.ok()) << second.error_message();
  EXPECT_TRUE(stop.get().ok());
  EXPECT_LT(absl::Now() - begin, OnThisMachine(absl::Seconds(2)));
}

}  // namespace
}  // namespace caisson::cri_test
