#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "runtime/base/unique_fd.h"

namespace caisson::pod {

// One thread that reads from all keepers' sockets.  Thread-safe.
class KeeperHub {
 public:
  // The process's only one, started at its first use and never destroyed.
  static KeeperHub& Get();

  // Calls `readable` on the hub's thread whenever `socket` (borrowed) can be
  // read, until it returns false or Remove().
  void Add(int socket, std::function<bool()> readable);

  // After its return `readable` neither runs nor will.  Not from within it.
  void Remove(int socket);

 private:
  struct Entry {
    std::mutex running;
    std::function<bool()> readable;
    bool removed = false;
  };

  KeeperHub();
  void Loop();
  void Dispatch(int socket);
  void Forget(int socket);

  UniqueFd epoll_;
  std::mutex mutex_;
  std::map<int, std::shared_ptr<Entry>> entries_;
};

}  // namespace caisson::pod
