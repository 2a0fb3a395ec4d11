#include "tests/support/fake_keeper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/status.h"
#include "runtime/kernel/process_stat.h"
#include "tests/support/fake_keeper_state.h"
#include "tests/support/sleeper.h"

namespace caisson::testing {
namespace {

using StatePtr = std::shared_ptr<FakeKeeperState>;

// A keeper as the daemon has it: calls on the state, which its thread keeps,
// too.
class FakeKeeper : public pod::Keeper {
 public:
  explicit FakeKeeper(StatePtr state) : state_(std::move(state)) {
    state_->Begin();
  }

  ~FakeKeeper() override { state_->Close(); }

  StatePtr state() const { return state_; }

  pod::KeeperIdentity identity() const override { return state_->identity(); }

  absl::Status CheckResponsive() override { return absl::OkStatus(); }

  absl::StatusOr<PodResult> CreatePod(pod::WithFds<keeper::v1::PodPlan> plan,
                                      Deadline deadline) override {
    PodResult result;
    RETURN_IF_ERROR(state_->Call("create_pod", "", deadline, [&] {
      state_->SetPod(plan.message.pod_id());
      return absl::OkStatus();
    }));
    if (plan.message.own_network()) {
      result.network.reset(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    }
    return result;
  }

  absl::Status WriteSysctls(const keeper::v1::WriteSysctls& /*call*/,
                            Deadline deadline) override {
    return state_->Call("write_sysctls", "", deadline,
                        [] { return absl::OkStatus(); });
  }

  absl::StatusOr<keeper::v1::ContainerCreated> CreateContainer(
      pod::WithFds<keeper::v1::ContainerPlan> plan,
      Deadline deadline) override {
    keeper::v1::ContainerCreated created;
    const std::string id = plan.message.container_id();
    RETURN_IF_ERROR(
        state_->Call("create_container", id, deadline, [&]() -> absl::Status {
          const size_t position = plan.message.cgroup().unified_fd();
          ASSIGN_OR_RETURN(Process process,
                           SleepIn(plan.fds[position - 1].get()));
          created.set_pid(process.pid);
          state_->AddContainer(id, std::move(process));
          return absl::OkStatus();
        }));
    return created;
  }

  absl::StatusOr<keeper::v1::ContainerStarted> StartContainer(
      const std::string& id, std::string /*hook_state*/,
      Deadline deadline) override {
    keeper::v1::ContainerStarted started;
    started.set_started_at(absl::GetCurrentTimeNanos());
    RETURN_IF_ERROR(state_->Call("start_container", id, deadline, [&] {
      return state_->Start(id, started.started_at());
    }));
    return started;
  }

  absl::Status SignalContainer(const std::string& id, int signal,
                               Deadline deadline) override {
    return state_->Call("signal_container", id, deadline,
                        [&] { return state_->Signal(id, signal); });
  }

  absl::StatusOr<keeper::v1::ExecStarted> Exec(
      pod::WithFds<keeper::v1::ExecPlan> plan, Deadline deadline) override {
    keeper::v1::ExecStarted started;
    const keeper::v1::ExecPlan& exec = plan.message;
    const auto fd = [&](uint32_t at) {
      return at == 0 ? -1 : plan.fds[at - 1].get();
    };
    RETURN_IF_ERROR(
        state_->Call("exec", exec.exec_id(), deadline, [&]() -> absl::Status {
          ASSIGN_OR_RETURN(Process process,
                           RunIn(fd(exec.cgroup().unified_fd()),
                                 {exec.argv().begin(), exec.argv().end()},
                                 fd(exec.stdout_fd()), fd(exec.stderr_fd())));
          started.set_pid(process.pid);
          state_->AddExec(exec.exec_id(), std::move(process));
          return absl::OkStatus();
        }));
    return started;
  }

  absl::Status ReopenLog(const std::string& id, UniqueFd /*log*/,
                         Deadline deadline) override {
    return state_->Call("reopen_log", id, deadline,
                        [] { return absl::OkStatus(); });
  }

  absl::Status RemoveContainer(const std::string& id,
                               Deadline deadline) override {
    return state_->Call("remove_container", "", deadline,
                        [&] { return state_->Forget(id); });
  }

  absl::StatusOr<Description> Describe(Deadline deadline) override {
    Description description;
    RETURN_IF_ERROR(state_->Call("describe", "", deadline, [&] {
      description.pod = state_->Describe();
      return absl::OkStatus();
    }));
    return description;
  }

  absl::Status Shutdown(Deadline deadline) override {
    RETURN_IF_ERROR(state_->Call("shutdown", "", deadline, [&] {
      state_->KillAll();
      return absl::OkStatus();
    }));
    return state_->AwaitEnd(deadline);
  }

  void Kill() override { state_->Kill(); }

  absl::Status AwaitEnd(Deadline deadline) override {
    return state_->AwaitEnd(deadline);
  }

  absl::Status InjectFault(const std::string& /*step*/, int /*error*/,
                           Deadline /*deadline*/) override {
    return absl::UnimplementedError("inject fault: it is a fake");
  }

  absl::Status PauseAfter(const std::string& /*step*/,
                          Deadline /*deadline*/) override {
    return absl::UnimplementedError("pause: it is a fake");
  }

 private:
  const StatePtr state_;
};

absl::StatusOr<std::unique_ptr<pod::Keeper>> ResumeFake(
    const std::shared_ptr<FakeKeeperWorld>& world,
    const pod::KeeperIdentity& identity, pod::Keeper::Options options) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, identity.pid, 0)));
  const absl::StatusOr<uint64_t> start =
      kernel::ReadProcessStat(identity.pid, kernel::kStatStartTime);
  if (!pidfd.ok() || !start.ok() || *start != identity.start_ticks) {
    return absl::NotFoundError(absl::StrCat("find keeper ", identity.pid));
  }
  auto state = std::make_shared<FakeKeeperState>(
      world, identity, std::move(pidfd), std::move(options));
  state->Load();
  auto keeper = std::make_unique<FakeKeeper>(std::move(state));
  Redescribe(*keeper);
  return keeper;
}

}  // namespace

void Redescribe(pod::Keeper& keeper) {
  static_cast<FakeKeeper&>(keeper).state()->PostDescription();
}

FakeKeepers::FakeKeepers(const cgroup::Layout& layout,
                         const std::string& keepers,
                         const std::string& directory)
    : world_(std::make_shared<FakeKeeperWorld>()) {
  world_->directory = directory;
  std::filesystem::create_directories(directory);
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Create(layout, keepers);
  if (group.ok()) {
    cgroup_ = group->OpenUnified().value_or(UniqueFd());
  }
}

absl::StatusOr<pod::KeeperFactory::NewKeeper> FakeKeepers::Fork(
    Deadline deadline) {
  switch (world_->faults.Next("fork")) {
    case Fault::kNone:
      break;
    case Fault::kHang:
      absl::SleepFor(deadline.left());
      return absl::DeadlineExceededError("fork keeper: no answer");
    default:
      return absl::InternalError("fork keeper: refused");
  }
  ASSIGN_OR_RETURN(Process process, SleepIn(cgroup_.get()));
  NewKeeper fresh;
  fresh.identity.pid = process.pid;
  fresh.pidfd = std::move(process.pidfd);
  ASSIGN_OR_RETURN(
      fresh.identity.start_ticks,
      kernel::ReadProcessStat(process.pid, kernel::kStatStartTime));
  return fresh;
}

ops::KeeperClients FakeKeepers::clients() {
  ops::KeeperClients clients;
  clients.adopt = [world = world_](NewKeeper fresh,
                                   pod::Keeper::Options options) {
    return std::make_unique<FakeKeeper>(std::make_shared<FakeKeeperState>(
        world, fresh.identity, std::move(fresh.pidfd), std::move(options)));
  };
  clients.resume = [world = world_](const pod::KeeperIdentity& identity,
                                    pod::Keeper::Options options) {
    return ResumeFake(world, identity, std::move(options));
  };
  return clients;
}

}  // namespace caisson::testing
