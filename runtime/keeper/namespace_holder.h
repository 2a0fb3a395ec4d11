#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/reaper.h"
#include "runtime/kernel/path.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {

// A short-lived child that makes a pod's namespaces.  It takes the host ids of
// the pod's root first, so that the kernel charges the user namespace to the
// pod; the keeper, being root, writes the maps.  Killed and reaped by the
// destructor, wherever it is.  The keeper waits in place here, with an end:
// it has nothing else to do before it has a pod.
class NamespaceHolder {
 public:
  explicit NamespaceHolder(Reaper& reaper) : reaper_(reaper) {}

  NamespaceHolder(const NamespaceHolder&) = delete;
  NamespaceHolder& operator=(const NamespaceHolder&) = delete;
  ~NamespaceHolder();

  // Forks; returns when the namespaces exist.
  absl::Status Start(const v1::PodPlan& plan, kernel::Owner root);
  absl::Status WriteIdMaps(
      const google::protobuf::RepeatedPtrField<v1::IdExtent>& uids,
      const google::protobuf::RepeatedPtrField<v1::IdExtent>& gids);
  // Lets the child become root inside and configure what it made.
  absl::Status Configure();
  absl::StatusOr<UniqueFd> Open(kernel::Namespace kind) const;

 private:
  absl::Status AwaitChild();

  Reaper& reaper_;
  pid_t pid_ = 0;
  UniqueFd pidfd_;
  UniqueFd channel_;
};

}  // namespace caisson::keeper
