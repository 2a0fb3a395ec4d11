#include "shim/ops/output_collector.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "runtime/base/status.h"

namespace caisson::ops {
namespace {

// What a background child of the exec may still write after its end.
constexpr absl::Duration kDrainTime = absl::Milliseconds(100);
constexpr int kMaxEvents = 32;
// A pipe's capacity (pipe(7)).
constexpr size_t kReadBytes = 65536;

}  // namespace

void Fit(Output& output, size_t most) {
  if (output.out.size() + output.err.size() <= most) {
    return;
  }
  const size_t half = most / 2;
  if (output.err.size() <= half) {
    output.out.resize(most - output.err.size());
  } else if (output.out.size() <= half) {
    output.err.resize(most - output.out.size());
  } else {
    output.out.resize(half);
    output.err.resize(half);
  }
}

absl::StatusOr<std::unique_ptr<OutputCollector>> OutputCollector::Create(
    Timers& timers) {
  std::unique_ptr<OutputCollector> it(new OutputCollector(timers));
  it->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  it->wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event = {};
  event.events = EPOLLIN;
  if (!it->epoll_.ok() || !it->wake_.ok() ||
      epoll_ctl(it->epoll_.get(), EPOLL_CTL_ADD, it->wake_.get(), &event) !=
          0) {
    return ErrnoError("create", "epoll");
  }
  it->thread_ = std::thread([raw = it.get()] { raw->Loop(); });
  pthread_setname_np(it->thread_.native_handle(), "exec-output");
  return it;
}

OutputCollector::~OutputCollector() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    for (const auto& [id, job] : jobs_) {
      timers_.Cancel(job.timer);
    }
  }
  Wake();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void OutputCollector::Wake() {
  eventfd_write(wake_.get(), 1);
}

absl::Status OutputCollector::Watch(Id id, Job& job) {
  for (size_t which = 0; which < job.pipes.size(); ++which) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = id * 2 + which;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, job.pipes[which].get(),
                  &event) != 0) {
      return ErrnoError("watch", "pipe");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<OutputCollector::Id> OutputCollector::Add(UniqueFd out,
                                                         UniqueFd err,
                                                         size_t most,
                                                         Done done) {
  MutexLock lock(mutex_);
  const Id id = ++last_;
  Job job;
  job.pipes = {std::move(out), std::move(err)};
  job.most = std::min(most, kMostBytes);
  job.done = std::move(done);
  // On failure the pipes are closed, and so no longer watched.
  RETURN_IF_ERROR(Watch(id, job));
  jobs_.emplace(id, std::move(job));
  return id;
}

void OutputCollector::SetEnded(Id id) {
  MutexLock lock(mutex_);
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) {
    return;
  }
  found->second.ended = true;
  found->second.timer =
      timers_.At(Deadline::After(kDrainTime), [this, id] { Stop(id); });
  // Both may be at their end already.
  Wake();
}

void OutputCollector::Stop(Id id) {
  {
    MutexLock lock(mutex_);
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) {
      return;
    }
    found->second.ended = true;
    // What is there still counts, but for a writer that never pauses.
    for (size_t which = 0; which < 2; ++which) {
      if (found->second.pipes[which].ok()) {
        Read(found->second, which);
        found->second.pipes[which].reset();
      }
    }
  }
  Wake();
}

bool OutputCollector::Read(Job& job, size_t which) {
  char buffer[kReadBytes];
  const ssize_t got = read(job.pipes[which].get(), buffer, sizeof(buffer));
  if (got <= 0) {
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  std::string& bytes = job.bytes[which];
  const size_t room = std::min(job.most - std::min(job.most, bytes.size()),
                               kMostOfAll - std::min(kMostOfAll, kept_));
  const size_t kept = std::min(room, static_cast<size_t>(got));
  bytes.append(buffer, kept);
  kept_ += kept;
  return true;
}

void OutputCollector::OnReadable(Id id, int which) {
  MutexLock lock(mutex_);
  const auto found = jobs_.find(id);
  const auto index = static_cast<size_t>(which);
  if (found != jobs_.end() && found->second.pipes[index].ok() &&
      !Read(found->second, index)) {
    found->second.pipes[index].reset();
  }
}

std::vector<OutputCollector::Finished> OutputCollector::TakeFinished() {
  MutexLock lock(mutex_);
  std::vector<Finished> finished;
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    Job& job = it->second;
    if (!job.ended || job.pipes[0].ok() || job.pipes[1].ok()) {
      ++it;
      continue;
    }
    timers_.Cancel(job.timer);
    kept_ -= job.bytes[0].size() + job.bytes[1].size();
    Finished& one = finished.emplace_back();
    one.output = {std::move(job.bytes[0]), std::move(job.bytes[1])};
    one.most = job.most;
    one.done = std::move(job.done);
    it = jobs_.erase(it);
  }
  return finished;
}

void OutputCollector::Loop() {
  epoll_event events[kMaxEvents];
  for (;;) {
    const int count = epoll_wait(epoll_.get(), events, kMaxEvents, -1);
    for (int i = 0; i < count; ++i) {
      const uint64_t data = events[i].data.u64;
      if (data == 0) {
        eventfd_t value = 0;
        eventfd_read(wake_.get(), &value);
        continue;
      }
      OnReadable(data / 2, static_cast<int>(data % 2));
    }
    for (Finished& one : TakeFinished()) {
      Fit(one.output, one.most);
      one.done(std::move(one.output));
    }
    MutexLock lock(mutex_);
    if (stopped_) {
      return;
    }
  }
}

}  // namespace caisson::ops
