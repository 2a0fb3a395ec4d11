#pragma once

#include <cstdint>
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
  // read, until it returns false or Remove() of the number returned here.
  uint64_t Add(int socket, std::function<bool()> readable);

  // After its return `readable` neither runs nor will.  Not from within it.
  // The socket must still be open.
  void Remove(uint64_t watch);

 private:
  struct Entry {
    int socket = -1;
    std::mutex running;
    std::function<bool()> readable;
    bool removed = false;
  };

  KeeperHub();
  void Loop();
  void Dispatch(uint64_t watch);
  std::shared_ptr<Entry> Find(uint64_t watch);
  void Forget(uint64_t watch, int socket);

  UniqueFd epoll_;
  std::mutex mutex_;
  // By a number of their own: an fd's is taken again while events of the
  // socket that had it before are still in hand.
  uint64_t last_watch_ = 0;
  std::map<uint64_t, std::shared_ptr<Entry>> entries_;
};

}  // namespace caisson::pod
