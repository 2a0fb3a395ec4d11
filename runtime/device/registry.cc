#include "runtime/device/registry.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/directory.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/device/name.h"

namespace caisson::device {
namespace {

constexpr int64_t kMaxFile = 1 << 20;
constexpr size_t kMaxFiles = 1024;    // in a directory
constexpr size_t kMaxDevices = 1024;  // of a container
constexpr size_t kMaxBroken = 1024;   // bytes of what is told about files

bool IsSpecName(absl::string_view name) {
  return absl::EndsWith(name, ".json") || absl::EndsWith(name, ".yaml");
}

// Sorted; of a directory that isn't there, none.
absl::StatusOr<std::vector<std::string>> ListSpecs(
    const std::string& directory) {
  std::vector<std::string> paths;
  const absl::StatusOr<std::vector<DirectoryEntry>> entries =
      ListDirectory(directory);
  if (absl::IsNotFound(entries.status())) {
    return paths;
  }
  RETURN_IF_ERROR(entries.status());
  for (const DirectoryEntry& entry : *entries) {
    if (!IsSpecName(entry.name)) {
      continue;
    }
    if (paths.size() == kMaxFiles) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "read ", directory, ": more than ", kMaxFiles, " specs"));
    }
    paths.push_back(absl::StrCat(directory, "/", entry.name));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// What a spec says is done by root: nobody else may have written it.
absl::Status CheckFile(const struct stat& facts, const std::string& path) {
  const auto refuse = [&](absl::string_view why) {
    return absl::FailedPreconditionError(
        absl::StrCat("read CDI spec ", path, ": ", why));
  };
  if (!S_ISREG(facts.st_mode)) {
    return refuse("not a regular file");
  }
  if (facts.st_size > kMaxFile) {
    return refuse("larger than 1 MiB");
  }
  if ((facts.st_uid != 0 && facts.st_uid != geteuid()) ||
      (facts.st_mode & S_IWOTH) != 0) {
    return refuse("others than root may write it");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Spec>> LoadSpec(int fd,
                                                     const struct stat& facts,
                                                     const std::string& path) {
  const absl::StatusOr<std::string> text =
      ReadToEnd(fd, static_cast<size_t>(facts.st_size), path);
  if (absl::IsInvalidArgument(text.status())) {
    return absl::UnavailableError(
        absl::StrCat("read CDI spec ", path, ": it changes meanwhile"));
  }
  RETURN_IF_ERROR(text.status());
  ASSIGN_OR_RETURN(Spec spec, ParseSpecText(*text, path));
  return std::make_shared<const Spec>(std::move(spec));
}

void Complain(const absl::Status& status, std::string& broken) {
  if (broken.size() < kMaxBroken) {
    absl::StrAppend(&broken, "; ", status.message());
  }
}

// What no container gets here; `device` for the error.
absl::Status CheckSupported(const Edits& edits, const std::string& device,
                            const std::string& file) {
  const auto refuse = [&](absl::string_view what, absl::string_view why) {
    return absl::FailedPreconditionError(absl::StrCat(
        "use CDI device ", device, " of ", file, ": ", what, " ", why));
  };
  for (const DeviceNode& node : edits.nodes) {
    if (node.type == 'p') {
      return refuse(absl::StrCat("node ", node.path),
                    "is a FIFO, which is not supported");
    }
  }
  if (!edits.net_devices.empty()) {
    return refuse(absl::StrCat("network device ", edits.net_devices[0]),
                  "can't be moved into a pod");
  }
  if (edits.intel_rdt) {
    return refuse("intelRdt", "is not supported");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Registry::SpecPtr> Registry::ReadSpec(const std::string& path) {
  // O_NONBLOCK: a FIFO must not hang the daemon.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat facts = {};
  if (!fd.ok() || fstat(fd.get(), &facts) != 0) {
    return ErrnoError("open", path);
  }
  // Not kept: whose it is may change without the rest.
  RETURN_IF_ERROR(CheckFile(facts, path));
  File file{facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec, facts.st_size,
            facts.st_ino};
  const auto known = files_.find(path);
  if (known != files_.end() && known->second.seconds == file.seconds &&
      known->second.nanoseconds == file.nanoseconds &&
      known->second.size == file.size && known->second.inode == file.inode) {
    RETURN_IF_ERROR(known->second.status);
    return known->second.spec;
  }
  absl::StatusOr<SpecPtr> spec = LoadSpec(fd.get(), facts, path);
  file.status = spec.status();
  if (spec.ok()) {
    file.spec = *spec;
  }
  files_.insert_or_assign(path, std::move(file));
  return spec;
}

void Registry::AddDirectory(size_t index, Definitions& all,
                            std::set<std::string>& seen) {
  const absl::StatusOr<std::vector<std::string>> paths =
      ListSpecs(directories_[index]);
  if (!paths.ok()) {
    Complain(paths.status(), all.broken);
    return;
  }
  for (const std::string& path : *paths) {
    seen.insert(path);
    const absl::StatusOr<SpecPtr> spec = ReadSpec(path);
    if (!spec.ok()) {
      Complain(spec.status(), all.broken);
      continue;
    }
    for (const Device& device : (*spec)->devices) {
      Definition& it =
          all.devices[absl::StrCat((*spec)->kind, "=", device.name)];
      if (it.device != nullptr && it.directory == index) {
        it.rival = path;
        continue;
      }
      it = {*spec, &device, index, ""};
    }
  }
}

Registry::Definitions Registry::ReadAll() {
  Definitions all;
  std::set<std::string> seen;
  for (size_t index = 0; index < directories_.size(); ++index) {
    AddDirectory(index, all, seen);
  }
  for (auto file = files_.begin(); file != files_.end();) {
    file = seen.contains(file->first) ? std::next(file) : files_.erase(file);
  }
  return all;
}

absl::StatusOr<const Registry::Definition*> Registry::Find(
    const std::string& name, const Definitions& all) const {
  const auto found = all.devices.find(name);
  if (found == all.devices.end()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "find CDI device ", name, ": no spec in ",
        absl::StrJoin(directories_, ", "), " defines it", all.broken));
  }
  if (!found->second.rival.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "find CDI device ", name, ": both ", found->second.spec->file, " and ",
        found->second.rival, " define it"));
  }
  return &found->second;
}

absl::StatusOr<Edits> Registry::Resolve(const std::vector<std::string>& names) {
  Edits edits;
  if (names.size() > kMaxDevices) {
    return absl::InvalidArgumentError(absl::StrCat(
        "check CDI devices: ", names.size(), " are more than ", kMaxDevices));
  }
  for (const std::string& name : names) {
    RETURN_IF_ERROR(CheckQualifiedName(name));
  }
  const MutexLock lock(mutex_);
  const Definitions all = ReadAll();
  std::set<const Spec*> used;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const Definition* const it, Find(name, all));
    Edits own;
    if (used.insert(it->spec.get()).second) {
      own.Append(it->spec->edits);
    }
    own.Append(it->device->edits);
    RETURN_IF_ERROR(CheckSupported(own, name, it->spec->file));
    edits.Append(own);
  }
  return edits;
}

}  // namespace caisson::device
