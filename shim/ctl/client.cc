#include "shim/ctl/client.h"

namespace caisson::ctl {
namespace {

// Lists of a full node and the output of ExecSync exceed gRPC's 4 MiB.
constexpr int kLargestMessage = 64 << 20;

}  // namespace

Client::Client(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kLargestMessage);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(
      endpoint, grpc::InsecureChannelCredentials(), arguments);
  runtime_ = cri::RuntimeService::NewStub(channel);
  image_ = cri::ImageService::NewStub(channel);
}

Client::Running::Running(Client& client, grpc::ClientContext& context)
    : client_(client), context_(context) {
  const std::lock_guard<std::mutex> lock(client_.mutex_);
  client_.contexts_.insert(&context_);
}

Client::Running::~Running() {
  const std::lock_guard<std::mutex> lock(client_.mutex_);
  client_.contexts_.erase(&context_);
}

void Client::CancelCalls() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (grpc::ClientContext* context : contexts_) {
    context->TryCancel();
  }
}

}  // namespace caisson::ctl
