#pragma once

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/pod/keeper.h"

namespace caisson::ops {

// Attaches to a plan what places its process: the directory of `unified`, and
// the v1 `tasks` files of `controllers`, which is the same cgroup or an
// ancestor of it.
template <typename Plan>
absl::Status AttachCgroup(const cgroup::Cgroup& unified,
                          const cgroup::Cgroup& controllers,
                          pod::WithFds<Plan>& plan) {
  absl::StatusOr<UniqueFd> directory = unified.OpenUnified();
  if (!directory.ok()) {
    return directory.status();
  }
  absl::StatusOr<std::vector<UniqueFd>> tasks = controllers.OpenTasks();
  if (!tasks.ok()) {
    return tasks.status();
  }
  keeper::v1::CgroupFds& fds = *plan.message.mutable_cgroup();
  fds.set_unified_fd(plan.Attach(std::move(directory).value()));
  for (UniqueFd& fd : *tasks) {
    fds.add_tasks_fds(plan.Attach(std::move(fd)));
  }
  return absl::OkStatus();
}

}  // namespace caisson::ops
