#include "runtime/identity/user_lookup.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"

namespace caisson::identity {
namespace {

// The puller's cap; checked again, for records may come from elsewhere.
constexpr size_t kMaxDatabase = 1 << 20;
// NGROUPS_MAX of the kernel.
constexpr size_t kMaxGroups = 65536;

absl::Status Refuse(absl::string_view field, absl::string_view value,
                    absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(
      field, " \"", absl::CHexEscape(value.substr(0, 128)), "\": ", cause));
}

bool AllDigits(absl::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

// Digits with or without a sign: a number, never a name (catalogue C8, C9).
bool IsNumeric(absl::string_view text) {
  return AllDigits(text) ||
         (text.size() > 1 && (text[0] == '-' || text[0] == '+') &&
          AllDigits(text.substr(1)));
}

absl::StatusOr<uint32_t> BoundId(int64_t id, absl::string_view field) {
  if (id < 0 || id >= kIdLimit) {
    return Refuse(field, absl::StrCat(id),
                  absl::StrCat("not in 0..", kIdLimit - 1));
  }
  return static_cast<uint32_t>(id);
}

absl::StatusOr<uint32_t> ParseId(absl::string_view text,
                                 absl::string_view field) {
  int64_t id = -1;
  if (!AllDigits(text) || !absl::SimpleAtoi(text, &id)) {
    return Refuse(field, text, absl::StrCat("not in 0..", kIdLimit - 1));
  }
  return BoundId(id, field);
}

absl::Status CheckName(absl::string_view name, absl::string_view field) {
  for (char c : name) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) ||
        absl::ascii_isspace(static_cast<unsigned char>(c)) || c == ':') {
      return Refuse(field, name, "not a user or group name");
    }
  }
  return absl::OkStatus();
}

// Calls `visit` with the fields of each line until it returns false.
absl::Status ForEachLine(
    absl::string_view text, absl::string_view file, size_t least_fields,
    const std::function<bool(const std::vector<absl::string_view>&)>& visit) {
  if (text.size() > kMaxDatabase) {
    return absl::InvalidArgumentError(absl::StrCat(
        "read the image's ", file, ": larger than ", kMaxDatabase, " bytes"));
  }
  while (!text.empty()) {
    const size_t end = text.find('\n');
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    // A line of colons must not become a million fields.
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, absl::MaxSplits(':', 7));
    if (fields.size() >= least_fields && !visit(fields)) {
      break;
    }
  }
  return absl::OkStatus();
}

struct Entry {
  absl::string_view name;
  absl::string_view uid;
  absl::string_view gid;
  absl::string_view home;
};

// The first passwd entry that `matches`.
absl::StatusOr<std::optional<Entry>> FindEntry(
    absl::string_view passwd, const std::function<bool(const Entry&)>& match) {
  std::optional<Entry> found;
  RETURN_IF_ERROR(ForEachLine(passwd, "passwd", 4, [&](const auto& fields) {
    Entry entry{fields[0], fields[2], fields[3],
                fields.size() > 5 ? fields[5] : absl::string_view()};
    if (match(entry)) {
      found = entry;
    }
    return !found.has_value();
  }));
  return found;
}

absl::StatusOr<uint32_t> FindGroup(absl::string_view groups,
                                   absl::string_view name) {
  std::optional<absl::string_view> gid;
  RETURN_IF_ERROR(ForEachLine(groups, "group", 3, [&](const auto& fields) {
    if (fields[0] == name) {
      gid = fields[2];
    }
    return !gid.has_value();
  }));
  if (!gid.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("find group \"", absl::CHexEscape(name.substr(0, 128)),
                     "\": not in the image's group file"));
  }
  return ParseId(*gid, "gid of the image's group file");
}

bool IsMember(absl::string_view members, absl::string_view name) {
  for (absl::string_view member : absl::StrSplit(members, ',')) {
    if (member == name) {
      return true;
    }
  }
  return false;
}

// Groups of /etc/group that list `name`; lines with a bad gid don't count.
absl::Status AddMemberships(absl::string_view groups, absl::string_view name,
                            std::vector<uint32_t>& out) {
  return ForEachLine(groups, "group", 4, [&](const auto& fields) {
    if (IsMember(fields[3], name)) {
      absl::StatusOr<uint32_t> gid = ParseId(fields[2], "gid");
      if (gid.ok()) {
        out.push_back(*gid);
      }
    }
    return out.size() <= kMaxGroups;
  });
}

// "user", "user:" or "user:group" in its two parts; the group may be absent:
// with nothing behind the colon it is the user's own, as without one.
struct UserString {
  absl::string_view user;
  std::optional<absl::string_view> group;
};

absl::StatusOr<UserString> SplitUser(absl::string_view text,
                                     absl::string_view field) {
  UserString result;
  const size_t colon = text.find(':');
  result.user = text.substr(0, colon);
  if (colon != text.npos) {
    if (result.user.empty()) {
      return Refuse(field, text, "empty user");
    }
    const absl::string_view group = text.substr(colon + 1);
    RETURN_IF_ERROR(CheckName(group, field));
    if (!group.empty()) {
      result.group = group;
    }
  }
  RETURN_IF_ERROR(CheckName(result.user, field));
  return result;
}

// The process's user, and its entry in passwd if it has one.
struct Found {
  uint32_t uid = 0;
  std::optional<Entry> entry;
};

absl::StatusOr<Found> FindUid(uint32_t uid, absl::string_view passwd) {
  Found found;
  found.uid = uid;
  ASSIGN_OR_RETURN(found.entry, FindEntry(passwd, [uid](const Entry& entry) {
                     absl::StatusOr<uint32_t> id = ParseId(entry.uid, "uid");
                     return id.ok() && *id == uid;
                   }));
  return found;
}

absl::StatusOr<Found> FindUser(absl::string_view user, absl::string_view field,
                               absl::string_view passwd) {
  if (IsNumeric(user)) {
    ASSIGN_OR_RETURN(const uint32_t uid, ParseId(user, field));
    return FindUid(uid, passwd);
  }
  Found found;
  ASSIGN_OR_RETURN(found.entry, FindEntry(passwd, [user](const Entry& entry) {
                     return entry.name == user;
                   }));
  if (!found.entry.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("find user \"", absl::CHexEscape(user.substr(0, 128)),
                     "\": not in the image's passwd file"));
  }
  ASSIGN_OR_RETURN(found.uid,
                   ParseId(found.entry->uid, "uid of the image's passwd file"));
  return found;
}

std::string SafeHome(const Found& found) {
  if (!found.entry.has_value() || !absl::StartsWith(found.entry->home, "/")) {
    return "/";
  }
  for (char c : found.entry->home) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      return "/";
    }
  }
  return std::string(found.entry->home);
}

absl::StatusOr<uint32_t> PrimaryGroup(
    const UserRequest& request, const Found& found,
    const std::optional<absl::string_view>& image_group,
    absl::string_view groups) {
  if (request.has_gid) {
    return BoundId(request.gid, "run_as_group");
  }
  if (image_group.has_value()) {
    if (IsNumeric(*image_group)) {
      return ParseId(*image_group, "group of the image's user");
    }
    return FindGroup(groups, *image_group);
  }
  if (found.entry.has_value()) {
    return ParseId(found.entry->gid, "gid of the image's passwd file");
  }
  return uint32_t{0};
}

absl::Status CollectGroups(const UserRequest& request, const Found& found,
                           absl::string_view database, User& user) {
  std::vector<uint32_t> all = {user.gid};
  if (!request.strict_groups && found.entry.has_value()) {
    RETURN_IF_ERROR(AddMemberships(database, found.entry->name, all));
  }
  for (int64_t group : request.supplemental_groups) {
    ASSIGN_OR_RETURN(const uint32_t gid, BoundId(group, "supplemental_groups"));
    all.push_back(gid);
  }
  if (all.size() > kMaxGroups) {
    return absl::InvalidArgumentError(
        absl::StrCat("collect groups: more than ", kMaxGroups));
  }
  std::set<uint32_t> seen;
  for (uint32_t gid : all) {
    if (seen.insert(gid).second) {
      user.groups.push_back(gid);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<User> ResolveUser(const UserRequest& request,
                                 const UserDatabase& database) {
  Found found;
  std::optional<absl::string_view> image_group;
  if (request.has_uid) {
    ASSIGN_OR_RETURN(const uint32_t uid, BoundId(request.uid, "run_as_user"));
    ASSIGN_OR_RETURN(found, FindUid(uid, database.passwd));
  } else if (!request.username.empty()) {
    RETURN_IF_ERROR(CheckName(request.username, "run_as_username"));
    ASSIGN_OR_RETURN(
        found, FindUser(request.username, "run_as_username", database.passwd));
  } else {
    if (request.has_gid) {
      return Refuse("run_as_group", absl::StrCat(request.gid),
                    "given without run_as_user or run_as_username");
    }
    ASSIGN_OR_RETURN(const UserString parts,
                     SplitUser(request.image_user, "user of the image"));
    // An image without a user says root (OCI image specification).
    const absl::string_view name = parts.user.empty() ? "0" : parts.user;
    ASSIGN_OR_RETURN(found,
                     FindUser(name, "user of the image", database.passwd));
    image_group = parts.group;
  }
  User user;
  user.uid = found.uid;
  ASSIGN_OR_RETURN(user.gid,
                   PrimaryGroup(request, found, image_group, database.group));
  user.home = SafeHome(found);
  RETURN_IF_ERROR(CollectGroups(request, found, database.group, user));
  return user;
}

ImageUser ReadImageUser(absl::string_view user) {
  ImageUser result;
  const absl::StatusOr<UserString> parts = SplitUser(user, "user of the image");
  if (!parts.ok()) {
    result.username = std::string(user);
    return result;
  }
  if (!IsNumeric(parts->user)) {
    result.username = std::string(parts->user);
    return result;
  }
  const absl::StatusOr<uint32_t> uid =
      ParseId(parts->user, "user of the image");
  result.has_uid = uid.ok();
  if (uid.ok()) {
    result.uid = *uid;
  } else {
    result.username = std::string(user);
  }
  return result;
}

}  // namespace caisson::identity
