#pragma once

#include <grpcpp/grpcpp.h>

#include "api/cri/v1/api.grpc.pb.h"
#include "runtime/image/image_store.h"

namespace caisson::cri {

// The CRI's ImageService over the image store.
class ImageService final : public ::runtime::v1::ImageService::Service {
 public:
  // Borrowed.
  explicit ImageService(image::ImageStore& images) : images_(images) {}

  grpc::Status ListImages(grpc::ServerContext*,
                          const ::runtime::v1::ListImagesRequest* request,
                          ::runtime::v1::ListImagesResponse* response) override;
  grpc::Status ImageStatus(
      grpc::ServerContext*, const ::runtime::v1::ImageStatusRequest* request,
      ::runtime::v1::ImageStatusResponse* response) override;
  grpc::Status PullImage(grpc::ServerContext*,
                         const ::runtime::v1::PullImageRequest* request,
                         ::runtime::v1::PullImageResponse* response) override;
  grpc::Status RemoveImage(
      grpc::ServerContext*, const ::runtime::v1::RemoveImageRequest* request,
      ::runtime::v1::RemoveImageResponse* response) override;
  grpc::Status ImageFsInfo(
      grpc::ServerContext*, const ::runtime::v1::ImageFsInfoRequest* request,
      ::runtime::v1::ImageFsInfoResponse* response) override;

 private:
  image::ImageStore& images_;
};

}  // namespace caisson::cri
