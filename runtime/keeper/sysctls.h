#pragma once

#include <string>

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/keeper/child_report.h"
#include "runtime/keeper/pod.h"
#include "runtime/keeper/work.h"

namespace caisson::keeper {

// The path below /proc/sys of a sysctl's name, as sysctl.d(5) reads names: the
// first separator, a dot or a slash, separates; the other one stands for a dot
// within a part (of an interface's name): "net.ipv4.conf.eth0/100.forwarding"
// and "net/ipv4/conf/eth0.100/forwarding".  InvalidArgument for ".." and empty
// parts.
absl::StatusOr<std::string> SysctlPath(const std::string& name);

// Writes one in the namespaces this process is in; the plan was checked to
// name namespaced ones only.  In a child.
absl::Status WriteSysctl(const std::string& name, const std::string& value);

// Writes those of a call as the pod's root in the pod's namespaces, by a
// short-lived child.
class SysctlWork : public Work {
 public:
  // What it refers to outlives this.
  SysctlWork(const Pod& pod, Reaper& reaper, const v1::WriteSysctls& call)
      : pod_(pod), reaper_(reaper), call_(call) {}

  ~SysctlWork() override { reaper_.Kill(std::move(child_)); }

  StepResult Resume() override;

  void Cancel(const absl::Status& why) override { cancelled_ = why; }

 private:
  absl::Status Begin();

  const Pod& pod_;
  Reaper& reaper_;
  const v1::WriteSysctls& call_;
  UniqueFd child_;
  ChildChannel channel_;
  // Of the child: a write waits for no other process.
  Deadline patience_;
  absl::Status cancelled_;
};

}  // namespace caisson::keeper
