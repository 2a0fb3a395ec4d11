#include "runtime/image/pull_operation.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/base/deadline.h"
#include "runtime/base/frame.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/image/hosts.h"
#include "runtime/image/manifest.h"
#include "runtime/image/puller_process.h"
#include "runtime/image/sha256.h"

namespace caisson::image {
namespace {

namespace v1 = puller::v1;

// How often layers that another pull failed to bring are asked for again.
constexpr int kMaxAttempts = 3;
constexpr size_t kMaxUserFile = 1 << 20;

absl::StatusOr<v1::PullRequest> MakeRequest(const ImageStore::Options& options,
                                            const Reference& reference,
                                            const Credentials& credentials) {
  v1::PullRequest request;
  request.set_repository(reference.repository);
  request.set_reference(reference.digest.empty() ? reference.tag
                                                 : reference.digest);
  ASSIGN_OR_RETURN(const std::vector<RegistryHost> hosts,
                   FindHosts(options.hosts_dir, reference.registry));
  for (const RegistryHost& host : hosts) {
    v1::Host& to = *request.add_hosts();
    to.set_url(host.url);
    to.set_api_path(host.api_path);
    to.set_skip_verify(host.skip_verify);
    to.set_ca_file(host.ca_file);
    to.set_send_credentials(host.is_origin);
  }
  request.mutable_credentials()->set_username(credentials.username);
  request.mutable_credentials()->set_password(credentials.password);
  request.mutable_credentials()->set_identity_token(credentials.identity_token);
  request.mutable_credentials()->set_registry_token(credentials.registry_token);
  request.set_parallel_layers(
      static_cast<uint32_t>(std::max(options.parallel_layers, 1)));
  request.set_uid(options.puller_uid);
  request.set_gid(options.puller_gid);
  return request;
}

absl::Status FromError(const v1::Error& error) {
  if (error.code() <= 0 ||
      error.code() > static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    return absl::InternalError(error.message());
  }
  return absl::Status(static_cast<absl::StatusCode>(error.code()),
                      error.message());
}

UserFile FromMessage(const v1::UserFile& file) {
  UserFile result;
  if (file.present()) {
    result.content = file.content();
  }
  result.removed = file.removed();
  return result;
}

// The next frame; Unavailable when none comes within `limit`.
absl::StatusOr<Frame> AwaitFrame(FrameReader& reader, int socket, int cancel,
                                 absl::Duration limit) {
  const Deadline stalled = Deadline::After(limit);
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<Frame> frame, reader.Read(socket));
    if (frame.has_value()) {
      return *std::move(frame);
    }
    pollfd fds[] = {{socket, POLLIN, 0}, {cancel, POLLIN, 0}};
    if (poll(fds, std::size(fds), stalled.poll_timeout()) < 0 &&
        errno != EINTR) {
      return ErrnoError("wait for", "puller");
    }
    if (fds[1].revents != 0) {
      return absl::CancelledError("nobody waits for it any more");
    }
    if (fds[0].revents == 0 && stalled.passed()) {
      return absl::UnavailableError(absl::StrCat(
          "no registry sent anything for ", absl::FormatDuration(limit)));
    }
  }
}

absl::Status Protocol(absl::string_view what) {
  return absl::InternalError(absl::StrCat("talk to puller: ", what));
}

}  // namespace

PullOperation::~PullOperation() {
  AbandonClaimed();
  for (const std::string& diff_id : referenced_) {
    layers_.Dereference(diff_id);
  }
}

void PullOperation::AbandonClaimed() {
  for (const std::string& diff_id : claimed_) {
    layers_.Abandon(diff_id);
  }
  claimed_.clear();
  fetched_.clear();
}

absl::StatusOr<PulledImage> PullOperation::Run(const Reference& reference,
                                               const Credentials& credentials,
                                               int cancel) {
  ASSIGN_OR_RETURN(const v1::PullRequest request,
                   MakeRequest(options_, reference, credentials));
  for (int i = 0; i < kMaxAttempts; ++i) {
    const absl::Status attempt = Attempt(request, cancel);
    if (!attempt.ok()) {
      AbandonClaimed();
      return attempt;
    }
    // The layers that other pulls fetch come last: none of ours is held back
    // by then, so two pulls can't wait for each other.
    bool complete = true;
    for (const std::string& diff_id : image_.layers) {
      ASSIGN_OR_RETURN(const bool is_here, layers_.Wait(diff_id, cancel));
      complete = is_here && complete;
    }
    if (complete) {
      return image_;
    }
  }
  return absl::UnavailableError(
      "another pull failed to fetch a layer of this image");
}

absl::Status PullOperation::Attempt(const v1::PullRequest& request,
                                    int cancel) {
  ASSIGN_OR_RETURN(PullerProcess process,
                   PullerProcess::Start(options_.puller_binary));
  RETURN_IF_ERROR(SendFrame(process.socket(), request.SerializeAsString(), {}));
  RETURN_IF_ERROR(Converse(process.socket(), request, cancel));
  // Once it is gone nobody can write to the layers: only now they are sealed.
  RETURN_IF_ERROR(process.Stop());
  return CommitFetched();
}

absl::Status PullOperation::Converse(int socket, const v1::PullRequest& request,
                                     int cancel) {
  FrameReader reader;
  for (;;) {
    absl::StatusOr<Frame> frame =
        AwaitFrame(reader, socket, cancel, options_.stall_limit);
    if (absl::IsOutOfRange(frame.status()) ||
        absl::IsDataLoss(frame.status())) {
      return Protocol(
          absl::StrCat("it ended early: ", frame.status().message()));
    }
    RETURN_IF_ERROR(frame.status());
    v1::FromPuller message;
    if (!message.ParseFromString(frame->bytes)) {
      return Protocol("malformed message");
    }
    switch (message.message_case()) {
      case v1::FromPuller::kResolved:
        RETURN_IF_ERROR(OnResolved(message.resolved(), request.reference()));
        break;
      case v1::FromPuller::kOpenLayer:
        RETURN_IF_ERROR(OnOpenLayer(socket, message.open_layer().diff_id()));
        break;
      case v1::FromPuller::kLayerDone:
        RETURN_IF_ERROR(OnLayerDone(message.layer_done()));
        break;
      case v1::FromPuller::kProgress:
        break;
      case v1::FromPuller::kFinished:
        return absl::OkStatus();
      case v1::FromPuller::kError:
        return FromError(message.error());
      case v1::FromPuller::MESSAGE_NOT_SET:
        return Protocol("empty message");
    }
  }
}

// The puller reads what strangers wrote, so what it says is checked where the
// daemon can.
absl::Status PullOperation::OnResolved(const v1::Resolved& resolved,
                                       const std::string& wanted) {
  if (!IsSha256Digest(resolved.digest()) ||
      (IsSha256Digest(wanted) && resolved.digest() != wanted) ||
      Sha256Digest(resolved.config()) != resolved.config_digest()) {
    return absl::DataLossError("check manifest: its digests differ");
  }
  ASSIGN_OR_RETURN(ParsedConfig parsed, ParseConfig(resolved.config()));
  image_ = {resolved.digest(), resolved.config_digest(), resolved.config(),
            std::move(parsed.diff_ids)};
  for (const std::string& diff_id : image_.layers) {
    if (referenced_.insert(diff_id).second) {
      layers_.Reference(diff_id);
    }
  }
  return absl::OkStatus();
}

absl::Status PullOperation::OnOpenLayer(int socket,
                                        const std::string& diff_id) {
  if (referenced_.count(diff_id) == 0 || claimed_.count(diff_id) != 0) {
    return Protocol("it asks for a layer that it shouldn't");
  }
  if (layers_.ClaimFetch(diff_id) != LayerStore::Claim::kFetch) {
    // Without a file: the layer is here, or another pull is at it.
    return SendFrame(socket, "", {});
  }
  claimed_.insert(diff_id);
  ASSIGN_OR_RETURN(const UniqueFd file, layers_.Stage(diff_id));
  return SendFrame(socket, "", {file.get()});
}

absl::Status PullOperation::OnLayerDone(const v1::LayerDone& done) {
  if (claimed_.count(done.diff_id()) == 0 ||
      done.passwd().content().size() > kMaxUserFile ||
      done.group().content().size() > kMaxUserFile) {
    return Protocol("it reports a layer that it shouldn't");
  }
  LayerRecord& layer = fetched_.emplace_back();
  layer.diff_id = done.diff_id();
  layer.file_bytes = done.file_bytes();
  layer.highest_id = done.highest_id();
  layer.passwd = FromMessage(done.passwd());
  layer.group = FromMessage(done.group());
  for (const std::string& note : done.notes()) {
    LogInfo(absl::StrCat("image layer ", layer.diff_id, ": ", note));
  }
  return absl::OkStatus();
}

absl::Status PullOperation::CommitFetched() {
  for (const LayerRecord& layer : fetched_) {
    // Said to be done twice: it is committed already.
    if (claimed_.count(layer.diff_id) == 0) {
      continue;
    }
    RETURN_IF_ERROR(layers_.Commit(layer));
    claimed_.erase(layer.diff_id);
  }
  fetched_.clear();
  return claimed_.empty() ? absl::OkStatus()
                          : Protocol("it finished without all layers");
}

}  // namespace caisson::image
