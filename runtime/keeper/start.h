#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/keeper/container.h"
#include "runtime/keeper/work.h"

namespace caisson::keeper {

// Starts a created container: done when its program runs, or failed to.  One
// that ended before says why.
class StartWork : public Work {
 public:
  // `call` and the results outlive this.
  StartWork(std::shared_ptr<Container> container,
            const v1::StartContainer& call, v1::ContainerStarted& started,
            std::string& failed)
      : container_(std::move(container)),
        call_(call),
        started_(started),
        failed_(failed) {}

  ~StartWork() override;

  StepResult Resume() override;

  void Cancel(const absl::Status& why) override { cancelled_ = why; }

 private:
  // Sends the byte that starts it, and what its hooks read.
  absl::Status Begin();
  absl::Status End();

  const std::shared_ptr<Container> container_;
  const v1::StartContainer& call_;
  v1::ContainerStarted& started_;
  std::string& failed_;
  bool begun_ = false;
  ChildReport report_;
  absl::Status cancelled_;
};

}  // namespace caisson::keeper
