#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/image/image_store.h"
#include "runtime/image/sha256.h"

namespace caisson::image {
namespace {

constexpr char kDefaultRegistry[] = "docker.io";
constexpr size_t kMaxReference = 512;
constexpr size_t kMaxShown = 128;
constexpr size_t kMaxRepository = 255;
constexpr size_t kMaxTag = 128;

absl::Status Refuse(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("parse image reference \"",
                   absl::CHexEscape(text.substr(0, kMaxShown)), "\": ", why));
}

bool IsLower(char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c);
}

// Components of lower-case letters and digits, with ., _, - in between.
bool IsRepository(absl::string_view text) {
  if (text.empty() || text.size() > kMaxRepository) {
    return false;
  }
  for (absl::string_view part : absl::StrSplit(text, '/')) {
    if (part.empty() || !IsLower(part.front()) || !IsLower(part.back()) ||
        absl::StrContains(part, "..")) {
      return false;
    }
    for (const char c : part) {
      if (!IsLower(c) && c != '.' && c != '_' && c != '-') {
        return false;
      }
    }
  }
  return true;
}

bool IsTag(absl::string_view text) {
  if (text.empty() || text.size() > kMaxTag || text.front() == '.' ||
      text.front() == '-') {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

bool IsPort(absl::string_view text) {
  int port = 0;
  return !text.empty() && absl::ascii_isdigit(text.front()) &&
         absl::SimpleAtoi(text, &port) && port >= 1 && port <= 65535;
}

// Labels with dots between them: the name becomes a folder's as well
// (hosts.toml), so ".." must not be one.
bool IsHostName(absl::string_view text) {
  for (absl::string_view label : absl::StrSplit(text, '.')) {
    if (label.empty() || !absl::ascii_isalnum(label.front()) ||
        !absl::ascii_isalnum(label.back()) ||
        !std::all_of(label.begin(), label.end(), [](char c) {
          return absl::ascii_isalnum(c) || c == '-';
        })) {
      return false;
    }
  }
  return true;
}

// host, host:port, [address] or [address]:port.
bool IsHost(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "[")) {
    const size_t end = text.find(']');
    in6_addr address;
    // A NUL would end the address for inet_pton() only.
    if (end == absl::string_view::npos ||
        absl::StrContains(text, absl::string_view("\0", 1)) ||
        inet_pton(AF_INET6, std::string(text.substr(0, end)).c_str(),
                  &address) != 1) {
      return false;
    }
    text.remove_prefix(end + 1);
    return text.empty() || (absl::ConsumePrefix(&text, ":") && IsPort(text));
  }
  const size_t colon = text.find(':');
  return IsHostName(text.substr(0, colon)) &&
         (colon == absl::string_view::npos || IsPort(text.substr(colon + 1)));
}

// The first component is a registry when it looks like a host's name.
bool LooksLikeHost(absl::string_view part) {
  return absl::StrContains(part, '.') || absl::StrContains(part, ':') ||
         part == "localhost";
}

}  // namespace

std::string Reference::Name() const {
  return digest.empty() ? absl::StrCat(registry, "/", repository, ":", tag)
                        : absl::StrCat(registry, "/", repository, "@", digest);
}

absl::StatusOr<Reference> ParseReference(absl::string_view text) {
  if (text.empty() || text.size() > kMaxReference) {
    return Refuse(text, "empty or too long");
  }
  Reference reference;
  absl::string_view rest = text;
  if (const size_t at = rest.find('@'); at != absl::string_view::npos) {
    reference.digest = std::string(rest.substr(at + 1));
    rest = rest.substr(0, at);
    if (!IsSha256Digest(reference.digest)) {
      return Refuse(text, "not a sha256 digest");
    }
  }
  const size_t slash = rest.find('/');
  if (slash != absl::string_view::npos &&
      LooksLikeHost(rest.substr(0, slash))) {
    reference.registry = std::string(rest.substr(0, slash));
    rest.remove_prefix(slash + 1);
  } else {
    reference.registry = kDefaultRegistry;
  }
  if (const size_t colon = rest.rfind(':'); colon != absl::string_view::npos) {
    reference.tag = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
    if (!IsTag(reference.tag)) {
      return Refuse(text, "not a tag");
    }
  } else if (reference.digest.empty()) {
    reference.tag = "latest";
  }
  reference.repository = std::string(rest);
  if (reference.registry == kDefaultRegistry && !absl::StrContains(rest, '/')) {
    reference.repository = absl::StrCat("library/", rest);
  }
  if (!IsHost(reference.registry) || !IsRepository(reference.repository)) {
    return Refuse(text, "not a repository's name");
  }
  // What is filled in counts: the whole name is recorded and read again.
  if (reference.Name().size() > kMaxReference) {
    return Refuse(text, "too long");
  }
  return reference;
}

}  // namespace caisson::image
