#include "runtime/puller/http.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::puller {
namespace {

constexpr long kConnectTimeoutSeconds = 30;
// A download slower than this for so long hangs: trickling is no progress.
constexpr long kStallBytesPerSecond = 1024;
constexpr long kStallSeconds = 60;
constexpr long kReceiveBufferBytes = 256 * 1024;
constexpr int kPollMilliseconds = 1000;
constexpr char kChallengeHeader[] = "www-authenticate:";

std::atomic<uint64_t> activity{0};

}  // namespace

size_t HttpStream::OnBody(char* data, size_t size, size_t count, void* self) {
  auto* stream = static_cast<HttpStream*>(self);
  ++activity;
  stream->head_done_ = true;
  stream->body_.append(data, size * count);
  return size * count;
}

size_t HttpStream::OnHeader(char* data, size_t size, size_t count, void* self) {
  auto* stream = static_cast<HttpStream*>(self);
  const absl::string_view line(data, size * count);
  if (absl::StartsWithIgnoreCase(line, kChallengeHeader)) {
    stream->challenge_ = std::string(
        absl::StripAsciiWhitespace(line.substr(sizeof(kChallengeHeader) - 1)));
  }
  return size * count;
}

void HttpStream::Configure(const v1::Host& host, const HttpRequest& request) {
  curl_easy_setopt(easy_, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  // A redirect may not lead from https to http.
  const bool plain = absl::StartsWith(request.url, "http:");
  curl_easy_setopt(easy_, CURLOPT_REDIR_PROTOCOLS_STR,
                   plain ? "http,https" : "https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy_, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy_, CURLOPT_PROXY, "");
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
  curl_easy_setopt(easy_, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
  curl_easy_setopt(easy_, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  curl_easy_setopt(easy_, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  curl_easy_setopt(easy_, CURLOPT_USERAGENT, "caisson/" CAISSON_VERSION);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &HttpStream::OnBody);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &HttpStream::OnHeader);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_);
  if (host.skip_verify()) {
    curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!host.ca_file().empty()) {
    curl_easy_setopt(easy_, CURLOPT_CAINFO, host.ca_file().c_str());
  }
  if (!request.accept.empty()) {
    headers_ = curl_slist_append(
        headers_, absl::StrCat("Accept: ", request.accept).c_str());
    curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_);
  }
  // curl itself forgets both at a redirect to another host.
  if (!request.bearer_token.empty()) {
    curl_easy_setopt(easy_, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(easy_, CURLOPT_XOAUTH2_BEARER,
                     request.bearer_token.c_str());
  } else if (!request.username.empty()) {
    curl_easy_setopt(easy_, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy_, CURLOPT_USERNAME, request.username.c_str());
    curl_easy_setopt(easy_, CURLOPT_PASSWORD, request.password.c_str());
  }
}

absl::StatusOr<std::unique_ptr<HttpStream>> HttpStream::Open(
    const v1::Host& host, const HttpRequest& request) {
  std::unique_ptr<HttpStream> stream(new HttpStream);
  ++activity;
  stream->url_ = request.url;
  stream->multi_ = curl_multi_init();
  stream->easy_ = curl_easy_init();
  stream->Configure(host, request);
  curl_multi_add_handle(stream->multi_, stream->easy_);
  while (!stream->head_done_ && !stream->done_) {
    RETURN_IF_ERROR(stream->Progress());
  }
  curl_easy_getinfo(stream->easy_, CURLINFO_RESPONSE_CODE, &stream->status_);
  return stream;
}

uint64_t HttpStream::Activity() {
  return activity;
}

HttpStream::~HttpStream() {
  curl_multi_remove_handle(multi_, easy_);
  curl_easy_cleanup(easy_);
  curl_multi_cleanup(multi_);
  curl_slist_free_all(headers_);
}

absl::Status HttpStream::Progress() {
  int running = 0;
  const size_t before = body_.size();
  curl_multi_perform(multi_, &running);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) {
      continue;
    }
    done_ = true;
    if (message->data.result != CURLE_OK) {
      return absl::UnavailableError(absl::StrCat(
          "get ", url_, ": ",
          error_[0] != '\0' ? error_
                            : curl_easy_strerror(message->data.result)));
    }
  }
  if (!done_ && body_.size() == before) {
    curl_multi_poll(multi_, nullptr, 0, kPollMilliseconds, nullptr);
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> HttpStream::Read(char* buffer, size_t size) {
  if (consumed_ == body_.size()) {
    body_.clear();
    consumed_ = 0;
  }
  while (body_.empty() && !done_) {
    RETURN_IF_ERROR(Progress());
  }
  const size_t part = std::min(size, body_.size() - consumed_);
  memcpy(buffer, body_.data() + consumed_, part);
  consumed_ += part;
  return part;
}

absl::StatusOr<std::string> HttpStream::ReadAll(size_t max_bytes) {
  std::string all;
  char buffer[16384];
  for (;;) {
    ASSIGN_OR_RETURN(const size_t got, Read(buffer, sizeof(buffer)));
    if (got == 0) {
      return all;
    }
    if (all.size() + got > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("get ", url_, ": more than ", max_bytes, " bytes"));
    }
    all.append(buffer, got);
  }
}

}  // namespace caisson::puller
