#include "shim/cri/image_service.h"

#include <sys/eventfd.h>

#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/identity/user_lookup.h"
#include "shim/core/client_error.h"
#include "shim/cri/call.h"

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

absl::Status CheckName(const v1::ImageSpec& image) {
  return image.image().empty()
             ? absl::InvalidArgumentError("check image.image: is empty")
             : absl::OkStatus();
}

// Fetches until nobody waits any more.
core::Operation::Result Pull(image::ImageStore& images, const std::string& name,
                             const image::Credentials& credentials,
                             core::Operation& operation) {
  operation.Enter("pull");
  const auto given_up = std::make_shared<UniqueFd>(eventfd(0, EFD_CLOEXEC));
  if (!given_up->ok()) {
    return ErrnoError("create", "eventfd");
  }
  operation.OnAbandoned([given_up] { eventfd_write(given_up->get(), 1); });
  absl::StatusOr<std::string> id =
      images.Pull(name, credentials, operation.deadline(), given_up->get());
  // All of its errors speak of what the client named.
  return id.ok() ? std::move(id)
                 : absl::StatusOr<std::string>(core::ForClient(id.status()));
}

}  // namespace

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

ServerUnaryReactor* ImageService::ListImages(
    CallbackServerContext* context, const v1::ListImagesRequest* request,
    v1::ListImagesResponse* response) {
  const std::string& wanted = request->filter().image().image();
  if (!wanted.empty()) {
    const absl::StatusOr<image::Image> image = images_.Find(wanted);
    if (image.ok()) {
      FillImage(*image, *response->add_images());
    }
    return AnswerNow(context, "ListImages", absl::OkStatus());
  }
  for (const image::Image& image : images_.List()) {
    FillImage(image, *response->add_images());
  }
  return AnswerNow(context, "ListImages", absl::OkStatus());
}

ServerUnaryReactor* ImageService::ImageStatus(
    CallbackServerContext* context, const v1::ImageStatusRequest* request,
    v1::ImageStatusResponse* response) {
  absl::Status status = CheckName(request->image());
  if (!status.ok()) {
    return AnswerNow(context, "ImageStatus", status);
  }
  const absl::StatusOr<image::Image> image =
      images_.Find(request->image().image());
  if (image.ok()) {
    FillImage(*image, *response->mutable_image());
  }
  if (image.ok() && request->verbose()) {
    (*response->mutable_info())["info"] = ImageInfo(*image);
  }
  // No image is the CRI's way to say that it is absent.
  return AnswerNow(
      context, "ImageStatus",
      absl::IsNotFound(image.status()) ? absl::OkStatus() : image.status());
}

ServerUnaryReactor* ImageService::PullImage(CallbackServerContext* context,
                                            const v1::PullImageRequest* request,
                                            v1::PullImageResponse* response) {
  const absl::StatusOr<image::Credentials> auth = ReadAuth(request->auth());
  absl::Status status = CheckName(request->image());
  status.Update(auth.status());
  if (!status.ok()) {
    return AnswerNow(context, "PullImage", status);
  }
  core::OperationTable::Request operation{
      "", "pull image", absl::InfiniteDuration(), &lanes_.images};
  return AnswerBy(operations_, std::move(operation),
                  Blocking([this, name = request->image().image(),
                            credentials = *auth](core::Operation& it) {
                    return Pull(images_, name, credentials, it);
                  }),
                  context, "PullImage", [response](const std::string& id) {
                    response->set_image_ref(id);
                  });
}

ServerUnaryReactor* ImageService::RemoveImage(
    CallbackServerContext* context, const v1::RemoveImageRequest* request,
    v1::RemoveImageResponse*) {
  const absl::Status status = CheckName(request->image());
  if (!status.ok()) {
    return AnswerNow(context, "RemoveImage", status);
  }
  return AnswerFrom(lanes_.query, context, "RemoveImage", [this, request] {
    return images_.Remove(request->image().image());
  });
}

ServerUnaryReactor* ImageService::ImageFsInfo(
    CallbackServerContext* context, const v1::ImageFsInfoRequest*,
    v1::ImageFsInfoResponse* response) {
  return AnswerFrom(
      lanes_.query, context, "ImageFsInfo", [this, response]() -> absl::Status {
        ASSIGN_OR_RETURN(const image::FsUsage usage, images_.Usage());
        const auto fill = [&](v1::FilesystemUsage& out) {
          out.set_timestamp(NowNanos());
          out.mutable_fs_id()->set_mountpoint(usage.mount_point);
          out.mutable_used_bytes()->set_value(usage.used_bytes);
          out.mutable_inodes_used()->set_value(usage.inodes_used);
        };
        fill(*response->add_image_filesystems());
        fill(*response->add_container_filesystems());
        return absl::OkStatus();
      });
}

}  // namespace caisson::cri
