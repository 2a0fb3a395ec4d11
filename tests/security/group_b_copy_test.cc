#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/security/mount_attack.h"
#include "tests/support/machine.h"

// Group B: nothing copies files out of a container or into one.  Whatever is
// new in the lists below is looked at with row B24 in mind.
namespace caisson::cri_test {
namespace {

// Methods of the CRI that do something here.
const std::set<std::string> kAnswered = {
    "RuntimeService/Version",
    "RuntimeService/RunPodSandbox",
    "RuntimeService/StopPodSandbox",
    "RuntimeService/RemovePodSandbox",
    "RuntimeService/PodSandboxStatus",
    "RuntimeService/ListPodSandbox",
    "RuntimeService/CreateContainer",
    "RuntimeService/StartContainer",
    "RuntimeService/StopContainer",
    "RuntimeService/RemoveContainer",
    "RuntimeService/ListContainers",
    "RuntimeService/ContainerStatus",
    "RuntimeService/UpdateContainerResources",
    "RuntimeService/ReopenContainerLog",
    "RuntimeService/ExecSync",
    "RuntimeService/ContainerStats",
    "RuntimeService/ListContainerStats",
    "RuntimeService/UpdateRuntimeConfig",
    "RuntimeService/Status",
    "RuntimeService/RuntimeConfig",
    "RuntimeService/UpdatePodSandboxResources",
    "ImageService/ListImages",
    "ImageService/ImageStatus",
    "ImageService/PullImage",
    "ImageService/RemoveImage",
    "ImageService/ImageFsInfo",
};

class CopyEscapeTest : public MountAttackTest {
 protected:
  // The answer to a request without any field.
  static grpc::StatusCode Ask(const std::string& method) {
    grpc::GenericStub stub(
        grpc::CreateChannel(std::getenv("CONTAINER_RUNTIME_ENDPOINT"),
                            grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    const grpc::Slice nothing;
    const auto call =
        stub.PrepareUnaryCall(&context, absl::StrCat("/runtime.v1.", method),
                              grpc::ByteBuffer(&nothing, 1), &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return status.error_code();
  }
};

CAISSON_BOTH_MODES(CopyEscapeTest);

TEST_P(CopyEscapeTest, B24NoMethodCopies) {
  const google::protobuf::FileDescriptor& file =
      *cri::VersionRequest::descriptor()->file();
  std::set<std::string> answered;
  for (int i = 0; i < file.service_count(); ++i) {
    const google::protobuf::ServiceDescriptor& service = *file.service(i);
    for (int j = 0; j < service.method_count(); ++j) {
      const std::string method =
          absl::StrCat(service.name(), "/", service.method(j)->name());
      if (Ask(method) != grpc::StatusCode::UNIMPLEMENTED) {
        answered.insert(method);
      }
    }
  }
  EXPECT_EQ(answered, kAnswered);
}

// The one that would, asked properly of a container with a link to the host in
// the way.
TEST_P(CopyEscapeTest, B24NothingIsCopiedOut) {
  const Canary canary;
  const std::string before = canary.Fingerprint();
  const std::string container = Start(OnePod());
  EXPECT_EQ(
      Sh(container, absl::StrCat("ln -s ", canary.path(), " /out")).exit_code,
      0);
  cri::CheckpointContainerRequest request;
  request.set_container_id(container);
  request.set_location(directory_ + "/checkpoint.tar");
  cri::CheckpointContainerResponse response;
  EXPECT_EQ(
      Call(&cri::RuntimeService::Stub::CheckpointContainer, request, response)
          .error_code(),
      grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_FALSE(std::filesystem::exists(request.location()));
  EXPECT_EQ(canary.Fingerprint(), before);
}

TEST_P(CopyEscapeTest, B24NoCommandCopies) {
  const std::string commands = ::caisson::testing::ShellOutput(
      CAISSON_BIN_DIR
      "/caissonctl --help | sed -n '/^Subcommands/,$s/^  \\([a-z]*\\).*/\\1/p' "
      "| tr '\\n' ' '");
  EXPECT_EQ(commands, "run ps remove check config version ");
}

}  // namespace
}  // namespace caisson::cri_test
