#pragma once

#include <grpcpp/grpcpp.h>

#include "api/cri/v1/api.grpc.pb.h"
#include "runtime/image/image_store.h"
#include "shim/core/lanes.h"
#include "shim/core/operation.h"

namespace caisson::cri {

// The CRI's ImageService over the image store.
class ImageService final : public ::runtime::v1::ImageService::CallbackService {
 public:
  // Borrowed.
  ImageService(image::ImageStore& images, core::OperationTable& operations,
               core::Lanes& lanes)
      : images_(images), operations_(operations), lanes_(lanes) {}

 private:
#define CAISSON_RPC(Name)                                             \
  grpc::ServerUnaryReactor* Name(grpc::CallbackServerContext*,        \
                                 const ::runtime::v1::Name##Request*, \
                                 ::runtime::v1::Name##Response*) override
  CAISSON_RPC(ListImages);
  CAISSON_RPC(ImageStatus);
  CAISSON_RPC(PullImage);
  CAISSON_RPC(RemoveImage);
  CAISSON_RPC(ImageFsInfo);
#undef CAISSON_RPC

  image::ImageStore& images_;
  core::OperationTable& operations_;
  core::Lanes& lanes_;
};

}  // namespace caisson::cri
