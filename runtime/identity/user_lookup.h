#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::identity {

// The image's merged /etc/passwd and /etc/group, stored by the puller.  Text
// of the image: hostile, capped at 1 MiB each by the puller.
struct UserDatabase {
  std::string passwd;
  std::string group;
};

// Who a container's process is to be, before the image is consulted.
struct UserRequest {
  // From the CRI; each may be absent.
  bool has_uid = false;
  int64_t uid = 0;
  std::string username;
  bool has_gid = false;
  int64_t gid = 0;
  std::vector<int64_t> supplemental_groups;
  // Strict: groups of the image's /etc/group don't count.
  bool strict_groups = false;
  // `User` of the image's configuration: "", "user", "uid", "user:group"...
  std::string image_user;
};

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  // The primary group first, then the others, each once (catalogue C6).
  std::vector<uint32_t> groups;
  // Home directory of the passwd entry, "/" without one.
  std::string home = "/";
};

// Resolves a request: a username or uid of the CRI goes before the image's
// user; all-digit (or signed) strings are numbers and never names (catalogue
// C8, C9); numbers are bounded by kIdLimit (C7).  An explicit gid without a
// uid or username is InvalidArgument, as the CRI says.
// InvalidArgument names the field and value; NotFound a name that the image
// lacks.
absl::StatusOr<User> ResolveUser(const UserRequest& request,
                                 const UserDatabase& database);

// For ImageStatus: "1002" gives has_uid and the number, "www-data" the name;
// the group part is left out.  Without a word about the user neither is set.
struct ImageUser {
  bool has_uid = false;
  int64_t uid = 0;
  std::string username;
};

// What ResolveUser() would refuse is given as the name, whole: a client that
// hears of no user takes it for root, and one of a name that it can't check
// refuses to run it as somebody else.
ImageUser ReadImageUser(absl::string_view user);

}  // namespace caisson::identity
