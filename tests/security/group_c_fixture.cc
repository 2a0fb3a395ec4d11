#include "tests/security/group_c_fixture.h"

#include <gmock/gmock.h>

#include <utility>

namespace caisson::cri_test {

void GroupCTest::TearDown() {
  if (runtime_ != nullptr) {
    StopAll();
  }
  SecurityTest::TearDown();
}

void GroupCTest::StopAll() {
  cri::ListContainersResponse containers;
  Call(&cri::RuntimeService::Stub::ListContainers, {}, containers);
  for (const cri::Container& container : containers.containers()) {
    cri::StopContainerRequest request;
    request.set_container_id(container.id());
    cri::StopContainerResponse response;
    EXPECT_TRUE(
        Call(&cri::RuntimeService::Stub::StopContainer, request, response)
            .ok());
  }
}

std::vector<std::string> GroupCTest::TryAll(
    const std::string& container, std::vector<std::string> arguments) {
  const Json answer = Probe(container, arguments);
  std::vector<std::string> errors;
  if (answer.contains("attempts")) {
    for (const Json& attempt : answer["attempts"]) {
      errors.push_back(attempt["errno"]);
    }
  }
  return errors;
}

grpc::Status GroupCTest::TryImage(const std::string& image,
                                  const EditContainer& edit) {
  return TryCreate(ModePod(), [&](auto& it) {
    it.mutable_image()->set_image(image);
    if (edit != nullptr) {
      edit(it);
    }
  });
}

Json GroupCTest::ReportOf(const std::string& container,
                          const std::string& path) {
  const Output output = Sh(container, path + " report");
  Json report = Json::parse(output.text, nullptr, false);
  EXPECT_FALSE(report.is_discarded()) << output.text << output.error;
  return report;
}

void GroupCTest::ExpectRefused(const std::string& pod,
                               const EditContainer& edit, grpc::StatusCode code,
                               const std::string& text) {
  const grpc::Status status = TryCreate(pod, edit);
  EXPECT_EQ(status.error_code(), code) << text;
  EXPECT_THAT(status.error_message(), testing::HasSubstr(text));
  cri::ListContainersRequest request;
  request.mutable_filter()->set_pod_sandbox_id(pod);
  request.mutable_filter()->mutable_state()->set_state(cri::CONTAINER_RUNNING);
  cri::ListContainersResponse running;
  EXPECT_TRUE(
      Call(&cri::RuntimeService::Stub::ListContainers, request, running).ok());
  EXPECT_EQ(running.containers_size(), 0) << text;
}

uint64_t CapabilitySet(const Json& report, const char* set) {
  return std::stoull(std::string(report["capabilities"][set]), nullptr, 16);
}

}  // namespace caisson::cri_test
