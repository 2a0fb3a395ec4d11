#include "shim/cri/image_service.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/identity/user_lookup.h"
#include "shim/cri/status_mapping.h"

namespace caisson::cri {
namespace {

namespace v1 = ::runtime::v1;

void FillImage(const image::Image& from, v1::Image& to) {
  to.set_id(from.id);
  to.mutable_repo_tags()->Assign(from.repo_tags.begin(), from.repo_tags.end());
  to.mutable_repo_digests()->Assign(from.repo_digests.begin(),
                                    from.repo_digests.end());
  to.set_size(from.size);
  to.mutable_spec()->set_image(from.id);
  to.set_pinned(from.pinned);
  const identity::ImageUser user = identity::ReadImageUser(from.config.user);
  if (user.has_uid) {
    to.mutable_uid()->set_value(user.uid);
  } else {
    to.set_username(user.username);
  }
}

// "user:password" in base64, as docker keeps it.
absl::StatusOr<image::Credentials> ReadAuth(const v1::AuthConfig& auth) {
  image::Credentials credentials;
  credentials.username = auth.username();
  credentials.password = auth.password();
  credentials.identity_token = auth.identity_token();
  credentials.registry_token = auth.registry_token();
  credentials.server_address = auth.server_address();
  if (auth.username().empty() && !auth.auth().empty()) {
    std::string plain;
    const size_t colon = absl::Base64Unescape(auth.auth(), &plain)
                             ? plain.find(':')
                             : std::string::npos;
    if (colon == std::string::npos) {
      // Without the value: it is a secret.
      return absl::InvalidArgumentError(
          "check auth.auth: not user:password in base64");
    }
    credentials.username = plain.substr(0, colon);
    credentials.password = plain.substr(colon + 1);
  }
  return credentials;
}

std::string ImageInfo(const image::Image& image) {
  absl::StatusOr<json::Value> config =
      json::Parse(image.config.json, "image config");
  return json::Dump({{"imageSpec", config.ok() ? *config : json::Value()},
                     {"layers", image.layers},
                     {"highestId", image.highest_id}});
}

}  // namespace

grpc::Status ImageService::ListImages(grpc::ServerContext*,
                                      const v1::ListImagesRequest* request,
                                      v1::ListImagesResponse* response) {
  const std::string& wanted = request->filter().image().image();
  if (!wanted.empty()) {
    const absl::StatusOr<image::Image> image = images_.Find(wanted);
    if (image.ok()) {
      FillImage(*image, *response->add_images());
    }
    return grpc::Status::OK;
  }
  for (const image::Image& image : images_.List()) {
    FillImage(image, *response->add_images());
  }
  return grpc::Status::OK;
}

grpc::Status ImageService::ImageStatus(grpc::ServerContext*,
                                       const v1::ImageStatusRequest* request,
                                       v1::ImageStatusResponse* response) {
  const std::string& name = request->image().image();
  if (name.empty()) {
    return ToGrpc(absl::InvalidArgumentError("check image.image: is empty"));
  }
  const absl::StatusOr<image::Image> image = images_.Find(name);
  if (absl::IsNotFound(image.status())) {
    // The CRI's way to say that it is absent.
    return grpc::Status::OK;
  }
  if (!image.ok()) {
    return ToGrpc(image.status());
  }
  FillImage(*image, *response->mutable_image());
  if (request->verbose()) {
    (*response->mutable_info())["info"] = ImageInfo(*image);
  }
  return grpc::Status::OK;
}

grpc::Status ImageService::PullImage(grpc::ServerContext*,
                                     const v1::PullImageRequest* request,
                                     v1::PullImageResponse* response) {
  const std::string& name = request->image().image();
  if (name.empty()) {
    return ToGrpc(absl::InvalidArgumentError("check image.image: is empty"));
  }
  const absl::StatusOr<image::Credentials> auth = ReadAuth(request->auth());
  if (!auth.ok()) {
    return ToGrpc(auth.status());
  }
  const absl::StatusOr<std::string> id = images_.Pull(name, *auth);
  if (!id.ok()) {
    LogWarning(id.status().message());
    return ToGrpc(id.status());
  }
  response->set_image_ref(*id);
  return grpc::Status::OK;
}

grpc::Status ImageService::RemoveImage(grpc::ServerContext*,
                                       const v1::RemoveImageRequest* request,
                                       v1::RemoveImageResponse*) {
  const std::string& name = request->image().image();
  if (name.empty()) {
    return ToGrpc(absl::InvalidArgumentError("check image.image: is empty"));
  }
  return ToGrpc(images_.Remove(name));
}

grpc::Status ImageService::ImageFsInfo(grpc::ServerContext*,
                                       const v1::ImageFsInfoRequest*,
                                       v1::ImageFsInfoResponse* response) {
  const absl::StatusOr<image::FsUsage> usage = images_.Usage();
  if (!usage.ok()) {
    return ToGrpc(usage.status());
  }
  const auto fill = [&](v1::FilesystemUsage& out) {
    out.set_timestamp(NowNanos());
    out.mutable_fs_id()->set_mountpoint(usage->mount_point);
    out.mutable_used_bytes()->set_value(usage->used_bytes);
    out.mutable_inodes_used()->set_value(usage->inodes_used);
  };
  fill(*response->add_image_filesystems());
  fill(*response->add_container_filesystems());
  return grpc::Status::OK;
}

}  // namespace caisson::cri
