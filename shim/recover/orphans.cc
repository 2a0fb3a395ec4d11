#include "shim/recover/orphans.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/kernel/procfs.h"
#include "shim/ops/pod_files.h"

namespace caisson::recover {
namespace {

constexpr char kBlockedBy[] = "processes without a record";
constexpr absl::Duration kKillTime = absl::Seconds(30);
constexpr absl::Duration kDetachTime = absl::Minutes(2);
constexpr absl::Duration kFirstPause = absl::Seconds(2);
constexpr absl::Duration kLongestPause = absl::Minutes(5);

// The host's ids that a process may have (user_namespaces(7)); none for one of
// the host's own namespace.
std::vector<store::Lease> IdsOf(int pid) {
  std::vector<store::Lease> ranges;
  const absl::StatusOr<UniqueFd> file =
      kernel::OpenProcFile(absl::StrCat(pid, "/uid_map"), O_RDONLY);
  char text[4096];
  const ssize_t got = file.ok() ? read(file->get(), text, sizeof(text)) : 0;
  const absl::string_view map(text, got > 0 ? static_cast<size_t>(got) : 0);
  for (absl::string_view line : absl::StrSplit(map, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    store::Lease range;
    if (fields.size() == 3 && absl::SimpleAtoi(fields[1], &range.start) &&
        absl::SimpleAtoi(fields[2], &range.length) && range.start != 0) {
      ranges.push_back(range);
    }
  }
  return ranges;
}

absl::Status KillKeeper(int pid) {
  // Found among the keepers a moment ago, in a cgroup that is ours alone.
  if (kill(pid, SIGKILL) != 0 && errno != ESRCH) {
    return ErrnoError("kill keeper", absl::StrCat(pid));
  }
  return absl::OkStatus();
}

}  // namespace

void Orphans::BlockIds(const Actions::Orphans& orphans) {
  std::vector<store::Lease> ranges;
  for (const cgroup::MarkedCgroup& group : orphans.cgroups) {
    const absl::StatusOr<cgroup::Cgroup> found =
        cgroup::Cgroup::Open(node_.layout, group.path);
    const absl::StatusOr<std::vector<int>> pids =
        found.ok() ? found->Processes() : found.status();
    for (const int pid : pids.value_or(std::vector<int>())) {
      const std::vector<store::Lease> ids = IdsOf(pid);
      ranges.insert(ranges.end(), ids.begin(), ids.end());
    }
  }
  leases_.Block(kBlockedBy, std::move(ranges));
}

absl::Status Orphans::EndCgroup(const std::string& path) {
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(node_.layout, path);
  if (absl::IsNotFound(group.status())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(group.status());
  RETURN_IF_ERROR(group->Kill());
  RETURN_IF_ERROR(group->WaitUntilEmpty(Deadline::After(kKillTime)));
  return group->Destroy();
}

absl::Status Orphans::EndProcesses(const Actions::Orphans& orphans) {
  absl::Status status;
  // Keepers first: what they don't reap holds up the end of a pid namespace.
  for (const int pid : orphans.keepers) {
    status.Update(KillKeeper(pid));
  }
  for (const cgroup::MarkedCgroup& group : orphans.cgroups) {
    status.Update(EndCgroup(group.path));
  }
  for (const state::v1::ContainerRecord& record : orphans.containers) {
    status.Update(EndCgroup(record.cgroup()));
  }
  return status;
}

absl::Status Orphans::RemoveFiles(const Actions::Orphans& orphans) {
  absl::Status status;
  for (const std::string& id : orphans.attachments) {
    absl::StatusOr<network::Attachment> attachment = cni_.CachedAttachment(id);
    status.Update(attachment.ok()
                      ? cni_.Delete(*attachment, Deadline::After(kDetachTime))
                      : attachment.status());
  }
  RETURN_IF_ERROR(status);
  for (const std::string& id : orphans.network_pins) {
    status.Update(network::UnpinNamespace(paths_.NetworkPin(id)));
  }
  for (const std::string& id : orphans.pod_directories) {
    status.Update(ops::RemovePodDirectory(paths_.PodDirectory(id)));
    unlink(paths_.KeeperSocket(id).c_str());
  }
  for (const std::string& id : orphans.container_directories) {
    status.Update(trash_.Discard(paths_.ContainerDirectory(id)));
  }
  return status;
}

absl::Status Orphans::TakeDownAll(Actions::Orphans& orphans) {
  RETURN_IF_ERROR(EndProcesses(orphans));
  // Files only when nothing runs on them any more.
  RETURN_IF_ERROR(RemoveFiles(orphans));
  for (const state::v1::ContainerRecord& record : orphans.containers) {
    RETURN_IF_ERROR(store_.RemoveContainer(record.id()));
  }
  for (const std::string& id : orphans.lease_owners) {
    RETURN_IF_ERROR(store_.RemovePod(id));
    leases_.Release(id);
  }
  for (const std::string& id : orphans.damaged) {
    RETURN_IF_ERROR(store_.ForgetDamaged(id));
  }
  RETURN_IF_ERROR(store_.ForgetSetAside());
  leases_.Release(kBlockedBy);
  return absl::OkStatus();
}

void Orphans::TakeDown(Actions::Orphans orphans) {
  auto work = std::make_shared<Work>();
  work->orphans = std::move(orphans);
  work->pause = kFirstPause;
  pool_.Post([this, work] { Try(work); });
}

void Orphans::Try(const std::shared_ptr<Work>& work) {
  const absl::Status status = TakeDownAll(work->orphans);
  if (status.ok()) {
    return;
  }
  LogWarning(absl::StrCat("take down what no record owns: ", status.message(),
                          ": tried again in ",
                          absl::FormatDuration(work->pause)));
  timers_.At(Deadline::After(work->pause),
             [this, work] { pool_.Post([this, work] { Try(work); }); });
  work->pause = std::min(work->pause * 2, kLongestPause);
}

}  // namespace caisson::recover
