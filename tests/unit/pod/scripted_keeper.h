#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/deadline.h"
#include "runtime/base/frame.h"
#include "runtime/base/mutex.h"
#include "runtime/base/thread_pool.h"
#include "runtime/base/unique_fd.h"
#include "runtime/pod/keeper.h"

namespace caisson::pod {

inline Deadline Soon() {
  return Deadline::After(absl::Seconds(30));
}

// The keeper's side of a socket, driven by the test.
class Peer {
 public:
  Peer() = default;

  explicit Peer(UniqueFd socket) : socket_(std::move(socket)) {}

  // The next request that is no Hello, which is answered on the way; nothing
  // at the end of the stream.
  std::optional<keeper::v1::Request> Receive(
      std::vector<UniqueFd>* fds = nullptr);
  // The very next.
  std::optional<keeper::v1::Request> ReceiveAny(
      std::vector<UniqueFd>* fds = nullptr);

  void Send(const keeper::v1::FromKeeper& message,
            absl::Span<const int> fds = {});
  void ReplyTo(const keeper::v1::Request& request);
  void SendExited(const std::string& id);
  void SendRaw(const std::string& bytes);

  void Leave() { socket_.reset(); }

  bool ok() const { return socket_.ok(); }

  // What it says that it is.
  int pid = 0;

 private:
  UniqueFd socket_;
};

// A process that does nothing, in place of a keeper's.
class Process {
 public:
  Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  // Ends it.
  ~Process();

  void Kill();

  int pid() const { return pid_; }

  KeeperIdentity identity() const { return identity_; }

  // A copy.
  UniqueFd pidfd() const;

 private:
  int pid_ = 0;
  UniqueFd pidfd_;
  KeeperIdentity identity_;
};

// A client, its keeper's process, and what was told.
class ScriptedKeeperTest : public ::testing::Test {
 protected:
  static std::pair<UniqueFd, UniqueFd> SocketPair();

  void SetUp() override;
  void TearDown() override;

  // A client of a process on one end; the peer has the other.
  std::unique_ptr<Keeper> AdoptOne(const Process& process, Peer& peer,
                                   const std::string& socket_path);

  // Of events kept here.
  Keeper::Options Options(const std::string& socket_path);

  bool Await(const std::function<bool()>& condition);

  int exits() {
    const MutexLock lock(mutex_);
    return static_cast<int>(exited_.size());
  }

  int ended() {
    const MutexLock lock(mutex_);
    return ended_;
  }

  std::unique_ptr<Process> process_;
  Peer peer_;
  std::unique_ptr<Keeper> keeper_;
  std::string directory_;  // removed at the end

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> exited_;
  std::vector<keeper::v1::PodDescription> described_;
  int ended_ = 0;

 private:
  ThreadPool pool_{"events", 1};
};

}  // namespace caisson::pod
