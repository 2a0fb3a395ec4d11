#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/puller/v1/puller.pb.h"

namespace caisson::puller {

struct HttpRequest {
  std::string url;
  std::string accept;        // header, or empty
  std::string bearer_token;  // or
  std::string username;      // with
  std::string password;
};

// One GET, read as it comes.  Single-threaded.
class HttpStream {
 public:
  // Connects and reads the head of the answer.  Unavailable when there is
  // none; an answer of any status is OK.
  static absl::StatusOr<std::unique_ptr<HttpStream>> Open(
      const v1::Host& host, const HttpRequest& request);
  HttpStream(const HttpStream&) = delete;
  HttpStream& operator=(const HttpStream&) = delete;
  ~HttpStream();

  long status() const { return status_; }

  // The WWW-Authenticate header, empty without one.
  const std::string& challenge() const { return challenge_; }

  // Grows whenever a host is asked or sends something, in any thread.
  static uint64_t Activity();

  // Fills up to `size` bytes; 0 at the end.
  absl::StatusOr<size_t> Read(char* buffer, size_t size);
  // The rest; ResourceExhausted beyond `max_bytes`.
  absl::StatusOr<std::string> ReadAll(size_t max_bytes);

 private:
  HttpStream() = default;

  void Configure(const v1::Host& host, const HttpRequest& request);
  absl::Status Progress();
  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  static size_t OnHeader(char* data, size_t size, size_t count, void* self);

  std::string url_;
  CURLM* multi_ = nullptr;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  std::string body_;
  size_t consumed_ = 0;
  bool head_done_ = false;
  bool done_ = false;
  long status_ = 0;
  std::string challenge_;
  char error_[CURL_ERROR_SIZE] = {};
};

}  // namespace caisson::puller
