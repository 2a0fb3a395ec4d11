#include "runtime/puller/authenticate.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace caisson::puller {
namespace {

constexpr size_t kMaxTokenBytes = 1 << 20;

using Parameters = std::map<std::string, std::string>;

// `realm="https://...",service="x"` of RFC 9110, section 11.2.
Parameters ParseParameters(absl::string_view text) {
  Parameters parameters;
  while (!text.empty()) {
    const size_t equals = text.find('=');
    if (equals == absl::string_view::npos) {
      break;
    }
    const std::string key = absl::AsciiStrToLower(
        absl::StripAsciiWhitespace(text.substr(0, equals)));
    text.remove_prefix(equals + 1);
    const bool quoted = absl::ConsumePrefix(&text, "\"");
    const size_t end = text.find(quoted ? '"' : ',');
    parameters[key] = std::string(text.substr(0, end));
    text.remove_prefix(end == absl::string_view::npos ? text.size() : end + 1);
    while (!text.empty() && (text.front() == ',' || text.front() == ' ')) {
      text.remove_prefix(1);
    }
  }
  return parameters;
}

std::string Escape(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || absl::StrContains("-_.~/:", c)) {
      escaped.push_back(c);
    } else {
      absl::StrAppend(
          &escaped, "%",
          absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return escaped;
}

absl::StatusOr<std::string> FetchToken(const v1::Host& host,
                                       const v1::Credentials& credentials,
                                       const Parameters& parameters) {
  const auto value = [&](const char* key) {
    const auto found = parameters.find(key);
    return found == parameters.end() ? std::string() : found->second;
  };
  HttpRequest request;
  const std::string realm = value("realm");
  // A realm of a lower scheme would see the password in clear.
  if (!absl::StartsWith(realm, "https://") &&
      !absl::StartsWith(host.url(), "http://")) {
    return absl::UnauthenticatedError(
        absl::StrCat("fetch token: realm ", realm, " is not https"));
  }
  request.url = absl::StrCat(realm, "?service=", Escape(value("service")),
                             "&scope=", Escape(value("scope")));
  if (host.send_credentials()) {
    request.username = credentials.username();
    request.password = credentials.password();
  }
  ASSIGN_OR_RETURN(std::unique_ptr<HttpStream> stream,
                   HttpStream::Open(host, request));
  if (stream->status() != 200) {
    return absl::UnauthenticatedError(
        absl::StrCat("fetch token of ", realm, ": status ", stream->status()));
  }
  ASSIGN_OR_RETURN(const std::string text, stream->ReadAll(kMaxTokenBytes));
  ASSIGN_OR_RETURN(const json::Value answer, json::Parse(text, "token"));
  ASSIGN_OR_RETURN(std::string token, json::GetString(answer, "token"));
  if (token.empty()) {
    ASSIGN_OR_RETURN(token, json::GetString(answer, "access_token"));
  }
  return token;
}

}  // namespace

absl::Status Authenticate(const v1::Host& host,
                          const v1::Credentials& credentials,
                          absl::string_view challenge, HttpRequest& request) {
  if (host.send_credentials() && !credentials.registry_token().empty()) {
    request.bearer_token = credentials.registry_token();
    return absl::OkStatus();
  }
  if (absl::StartsWithIgnoreCase(challenge, "basic") &&
      host.send_credentials() && !credentials.username().empty()) {
    request.username = credentials.username();
    request.password = credentials.password();
    return absl::OkStatus();
  }
  if (!absl::StartsWithIgnoreCase(challenge, "bearer ")) {
    return absl::UnauthenticatedError(
        absl::StrCat("authenticate at ", host.url(), ": no credentials"));
  }
  ASSIGN_OR_RETURN(
      request.bearer_token,
      FetchToken(host, credentials,
                 ParseParameters(challenge.substr(sizeof("bearer ") - 1))));
  return absl::OkStatus();
}

}  // namespace caisson::puller
