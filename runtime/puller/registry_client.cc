#include "runtime/puller/registry_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/image/manifest.h"
#include "runtime/image/sha256.h"
#include "runtime/puller/authenticate.h"
#include "runtime/puller/http.h"

namespace caisson::puller {
namespace {

absl::Status FromHttp(long status, const std::string& url) {
  const auto says = [&](absl::string_view what) {
    return absl::StrCat("get ", url, ": ", what, " (status ", status, ")");
  };
  switch (status) {
    case 200:
      return absl::OkStatus();
    case 401:
      return absl::UnauthenticatedError(says("not authenticated"));
    case 403:
      return absl::PermissionDeniedError(says("not permitted"));
    case 404:
      return absl::NotFoundError(says("not found"));
    case 429:
      return absl::UnavailableError(says("too many requests"));
    default:
      return absl::UnavailableError(says("no answer to use"));
  }
}

// One GET of one host, with an answer to its challenge if it has one.
absl::StatusOr<std::unique_ptr<HttpStream>> GetFrom(
    const v1::Host& host, const v1::Credentials& credentials,
    HttpRequest request) {
  ASSIGN_OR_RETURN(std::unique_ptr<HttpStream> stream,
                   HttpStream::Open(host, request));
  if (stream->status() == 401) {
    RETURN_IF_ERROR(
        Authenticate(host, credentials, stream->challenge(), request));
    ASSIGN_OR_RETURN(stream, HttpStream::Open(host, request));
  }
  RETURN_IF_ERROR(FromHttp(stream->status(), request.url));
  return stream;
}

absl::StatusOr<std::unique_ptr<HttpStream>> Get(const v1::PullRequest& request,
                                                const std::string& kind,
                                                const std::string& name,
                                                const std::string& accept) {
  absl::Status first = absl::UnavailableError("no host to ask");
  for (int i = 0; i < request.hosts_size(); ++i) {
    const v1::Host& host = request.hosts(i);
    HttpRequest get;
    get.url = absl::StrCat(host.url(), host.api_path(), "/",
                           request.repository(), "/", kind, "/", name);
    get.accept = accept;
    absl::StatusOr<std::unique_ptr<HttpStream>> stream =
        GetFrom(host, request.credentials(), std::move(get));
    if (stream.ok()) {
      return stream;
    }
    // A mirror that hasn't it says nothing about the next; what the first
    // one said is the most telling when none has.
    if (i == 0 || absl::IsUnavailable(first)) {
      first = stream.status();
    }
  }
  return first;
}

// A stream whose bytes are those of a digest.
class CheckedBlob : public image::ByteSource {
 public:
  CheckedBlob(std::unique_ptr<HttpStream> stream, std::string digest)
      : stream_(std::move(stream)), digest_(std::move(digest)) {}

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    if (ended_) {
      return size_t{0};
    }
    ASSIGN_OR_RETURN(const size_t got, stream_->Read(buffer, size));
    hash_.Update(absl::string_view(buffer, got));
    if (got == 0) {
      ended_ = true;
      if (const std::string digest = hash_.Digest(); digest != digest_) {
        return absl::DataLossError(absl::StrCat(
            "check blob ", digest_, ": what came has digest ", digest));
      }
    }
    return got;
  }

 private:
  std::unique_ptr<HttpStream> stream_;
  const std::string digest_;
  image::Sha256 hash_;
  bool ended_ = false;
};

}  // namespace

absl::StatusOr<RegistryClient::ManifestText> RegistryClient::GetManifest(
    const std::string& reference) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<HttpStream> stream,
      Get(request_, "manifests", reference, image::kManifestTypes));
  ManifestText manifest;
  ASSIGN_OR_RETURN(manifest.json, stream->ReadAll(image::kMaxManifestBytes));
  manifest.digest = image::Sha256Digest(manifest.json);
  if (image::IsSha256Digest(reference) && manifest.digest != reference) {
    return absl::DataLossError(absl::StrCat("check manifest ", reference,
                                            ": what came has digest ",
                                            manifest.digest));
  }
  return manifest;
}

absl::StatusOr<std::string> RegistryClient::GetBlob(const std::string& digest,
                                                    size_t max_bytes) {
  ASSIGN_OR_RETURN(std::unique_ptr<HttpStream> stream,
                   Get(request_, "blobs", digest, ""));
  ASSIGN_OR_RETURN(std::string blob, stream->ReadAll(max_bytes));
  if (image::Sha256Digest(blob) != digest) {
    return absl::DataLossError(
        absl::StrCat("check blob ", digest, ": what came has another digest"));
  }
  return blob;
}

absl::StatusOr<std::unique_ptr<image::ByteSource>> RegistryClient::OpenBlob(
    const std::string& digest) {
  ASSIGN_OR_RETURN(std::unique_ptr<HttpStream> stream,
                   Get(request_, "blobs", digest, ""));
  return std::make_unique<CheckedBlob>(std::move(stream), digest);
}

}  // namespace caisson::puller
