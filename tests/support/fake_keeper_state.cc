#include "tests/support/fake_keeper_state.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/gate.h"
#include "tests/support/machine.h"

namespace caisson::testing {
namespace {

using Description = keeper::v1::ContainerDescription;

// How often it looks whether processes have ended.
constexpr absl::Duration kLook = absl::Milliseconds(2);

void SendSignal(const UniqueFd& pidfd, int signal) {
  syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

}  // namespace

FakeKeeperState::FakeKeeperState(std::shared_ptr<FakeKeeperWorld> world,
                                 pod::KeeperIdentity identity, UniqueFd pidfd,
                                 pod::Keeper::Options options)
    : world_(std::move(world)),
      identity_(identity),
      pidfd_(std::move(pidfd)),
      options_(std::move(options)) {}

void FakeKeeperState::Begin() {
  std::thread([self = shared_from_this()] { self->Loop(); }).detach();
}

void FakeKeeperState::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  changed_.NotifyAll();
}

void FakeKeeperState::Save() {
  const std::string file = absl::StrCat(world_->directory, "/", identity_.pid);
  std::ofstream(file + ".new") << pod_.SerializeAsString();
  rename((file + ".new").c_str(), file.c_str());
}

void FakeKeeperState::Load() {
  MutexLock lock(mutex_);
  pod_.ParseFromString(
      ReadFile(absl::StrCat(world_->directory, "/", identity_.pid)));
  for (Description& container : *pod_.mutable_containers()) {
    Child& child = children_[container.container_id()];
    child.pidfd.reset(
        static_cast<int>(syscall(SYS_pidfd_open, container.pid(), 0)));
    child.ended = container.state() == Description::EXITED;
    if (!child.ended && !child.pidfd.ok()) {
      child.ended = true;
      container.set_state(Description::EXITED);
      container.set_exit_code(137);
    }
  }
}

Description* FakeKeeperState::Find(const std::string& id) {
  for (Description& container : *pod_.mutable_containers()) {
    if (container.container_id() == id) {
      return &container;
    }
  }
  return nullptr;
}

bool FakeKeeperState::Wait(const std::string& id, Deadline deadline) {
  MutexLock lock(mutex_);
  while (!ended_ && !removed_.contains(id) && !deadline.passed()) {
    changed_.WaitUntil(mutex_, deadline);
  }
  return !ended_ && !removed_.contains(id);
}

absl::Status FakeKeeperState::Gone(const std::string& id, Deadline deadline) {
  MutexLock lock(mutex_);
  if (ended_) {
    return absl::UnavailableError("the keeper has ended");
  }
  if (removed_.contains(id)) {
    return absl::AbortedError("it was removed");
  }
  return deadline.passed()
             ? absl::DeadlineExceededError("the keeper has not answered")
             : absl::UnavailableError("the keeper answers nothing");
}

void FakeKeeperState::EndBeforeAnswer(const std::string& id) {
  {
    MutexLock lock(mutex_);
    const auto child = children_.find(id);
    if (child == children_.end()) {
      return;
    }
    SendSignal(child->second.pidfd, SIGKILL);
    while (!child->second.ended && !ended_) {
      changed_.WaitUntil(mutex_, Deadline::After(absl::Seconds(1)));
    }
  }
  auto heard = std::make_shared<Gate>();
  options_.post([heard] { heard->Open(); });
  heard->WaitFor(absl::Seconds(10));
}

absl::Status FakeKeeperState::Call(const char* name, const std::string& id,
                                   Deadline deadline,
                                   absl::FunctionRef<absl::Status()> work) {
  const Fault fault = world_->faults.Next(name);
  bool stopped = false;
  {
    MutexLock lock(mutex_);
    stopped_ = stopped_ || fault == Fault::kStop;
    stopped = stopped_;
    if (ended_) {
      return absl::UnavailableError("the keeper has ended");
    }
  }
  if (stopped) {
    const Deadline hung = Deadline::After(world_->hung_after);
    Wait("", Deadline::Earlier(deadline, hung));
    return Gone("", deadline);
  }
  const absl::Status refused =
      absl::InternalError(absl::StrCat(name, ": refused by the fake"));
  switch (fault) {
    case Fault::kRefuse:
      return refused;
    case Fault::kFailAfter:
      work().IgnoreError();
      EndBeforeAnswer(id);
      return refused;
    case Fault::kEndFirst: {
      const absl::Status done = work();
      EndBeforeAnswer(id);
      return done;
    }
    case Fault::kHang:
      Wait(id, deadline);
      return Gone(id, deadline);
    case Fault::kAnswerLate:
      if (Wait(id, deadline)) {
        work().IgnoreError();
      }
      return Gone(id, deadline);
    case Fault::kDie:
      Kill();
      AwaitEnd(deadline).IgnoreError();
      return absl::UnavailableError("the keeper has ended");
    case Fault::kWrongAnswer:
      return absl::OkStatus();
    default:
      return work();
  }
}

void FakeKeeperState::SetPod(const std::string& id) {
  MutexLock lock(mutex_);
  pod_.set_pod_id(id);
  Save();
}

void FakeKeeperState::AddContainer(const std::string& id, Process process) {
  MutexLock lock(mutex_);
  Description& container = *pod_.add_containers();
  container.set_container_id(id);
  container.set_pid(process.pid);
  container.set_state(Description::CREATED);
  children_[id].pidfd = std::move(process.pidfd);
  Save();
}

void FakeKeeperState::AddExec(const std::string& id, Process process) {
  MutexLock lock(mutex_);
  Child& child = children_[id];
  child.pidfd = std::move(process.pidfd);
  child.is_exec = true;
}

absl::Status FakeKeeperState::Start(const std::string& id, int64_t started_at) {
  MutexLock lock(mutex_);
  Description* container = Find(id);
  if (container == nullptr || container->state() != Description::CREATED) {
    return absl::FailedPreconditionError("start: it is not created");
  }
  container->set_state(Description::RUNNING);
  container->set_started_at(started_at);
  Save();
  return absl::OkStatus();
}

absl::Status FakeKeeperState::Signal(const std::string& id, int signal) {
  MutexLock lock(mutex_);
  const Description* container = Find(id);
  if (container == nullptr || container->state() == Description::EXITED) {
    return absl::NotFoundError("signal: it does not run");
  }
  if (!world_->deaf || signal == SIGKILL) {
    SendSignal(children_[id].pidfd, signal);
  }
  return absl::OkStatus();
}

absl::Status FakeKeeperState::Forget(const std::string& id) {
  MutexLock lock(mutex_);
  removed_.insert(id);
  changed_.NotifyAll();
  const auto child = children_.find(id);
  if (child != children_.end() && child->second.pidfd.ok()) {
    SendSignal(child->second.pidfd, SIGKILL);
    int code = 0;
    while (!HasEnded(child->second.pidfd.get(), &code)) {
      changed_.WaitUntil(mutex_, Deadline::After(kLook));
    }
    children_.erase(id);
  }
  for (int i = 0; i < pod_.containers_size(); ++i) {
    if (pod_.containers(i).container_id() == id) {
      pod_.mutable_containers()->DeleteSubrange(i, 1);
      break;
    }
  }
  Save();
  return absl::OkStatus();
}

keeper::v1::PodDescription FakeKeeperState::Describe() {
  MutexLock lock(mutex_);
  keeper::v1::PodDescription pod = pod_;
  for (const auto& [id, child] : children_) {
    if (child.is_exec && !child.ended) {
      pod.add_execs()->set_exec_id(id);
    }
  }
  return pod;
}

void FakeKeeperState::PostDescription() {
  // As it is now, whenever it is heard.
  options_.post([self = shared_from_this(), pod = Describe()] {
    self->options_.events.described(pod);
  });
}

void FakeKeeperState::Kill() {
  SendSignal(pidfd_, SIGKILL);
}

void FakeKeeperState::KillAll() {
  MutexLock lock(mutex_);
  for (const auto& [id, child] : children_) {
    SendSignal(child.pidfd, SIGKILL);
  }
  SendSignal(pidfd_, SIGKILL);
}

absl::Status FakeKeeperState::AwaitEnd(Deadline deadline) {
  MutexLock lock(mutex_);
  while (!ended_ && !deadline.passed()) {
    changed_.WaitUntil(mutex_, deadline);
  }
  return ended_ ? absl::OkStatus()
                : absl::DeadlineExceededError("the keeper does not end");
}

void FakeKeeperState::Tell(const std::string& id, bool is_exec, int code) {
  keeper::v1::Exited exited;
  exited.set_id(id);
  exited.set_is_exec(is_exec);
  exited.set_exit_code(code);
  exited.set_finished_at(absl::GetCurrentTimeNanos());
  if (Description* container = Find(id); container != nullptr) {
    container->set_state(Description::EXITED);
    container->set_exit_code(code);
    container->set_finished_at(exited.finished_at());
    Save();
  }
  if (!world_->mute) {
    options_.post([self = shared_from_this(), exited] {
      self->options_.events.exited(exited);
    });
  }
}

void FakeKeeperState::Look() {
  MutexLock lock(mutex_);
  int code = 0;
  if (!ended_ && HasEnded(pidfd_.get(), &code)) {
    ended_ = true;
    changed_.NotifyAll();
    options_.post(
        [self = shared_from_this()] { self->options_.events.ended(); });
  }
  for (auto& [id, child] : children_) {
    if (!child.ended && child.pidfd.ok() &&
        HasEnded(child.pidfd.get(), &code)) {
      child.ended = true;
      changed_.NotifyAll();
      if (!ended_ && !stopped_) {
        Tell(id, child.is_exec, world_->ExitCode(id, code));
      }
    }
  }
}

// A look every other millisecond: of pidfds of others nobody tells in one
// place.
void FakeKeeperState::Loop() {
  for (;;) {
    {
      MutexLock lock(mutex_);
      if (closed_) {
        return;
      }
      changed_.WaitUntil(mutex_, Deadline::After(kLook));
    }
    Look();
  }
}

}  // namespace caisson::testing
