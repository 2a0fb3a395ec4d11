#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "runtime/network/cni.h"
#include "tests/support/faults.h"

namespace caisson::testing {

// Plugins that hand out addresses and do what they are told to.  All that they
// keep is in files, so that it outlives a daemon: `addresses/POD` is what a
// plugin would leak, `results/POD` what DEL needs.
class FakeCni : public network::Cni {
 public:
  explicit FakeCni(const std::string& directory);

  absl::Status CheckReady() override;
  absl::StatusOr<network::Addresses> Add(const network::Attachment& attachment,
                                         Deadline deadline) override;
  absl::Status Delete(const network::Attachment& attachment,
                      Deadline deadline) override;
  absl::StatusOr<std::vector<std::string>> CachedPods() const override;
  absl::StatusOr<network::Attachment> CachedAttachment(
      const std::string& pod_id) const override;

  // "check", "add", "delete": of the latter also that which undoes an ADD.
  Faults faults;

  // Pods that have an address.
  std::vector<std::string> Addresses() const;

  // DELs that came when the pin was gone already: such leak rules.
  int late_deletes() const { return late_deletes_; }

 private:
  absl::Status Fail(Fault fault, Deadline deadline, const char* verb);

  const std::string directory_;
  std::atomic<int> late_deletes_ = 0;
};

}  // namespace caisson::testing
