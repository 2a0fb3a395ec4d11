#include "runtime/cgroup/systemd.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"

namespace caisson::cgroup {
namespace {

using Clock = std::chrono::steady_clock;

// A bus that takes connections, says `greeting` to each, and nothing more.
class SilentBus {
 public:
  explicit SilentBus(const std::string& greeting) {
    std::string name = testing::TempDir() + "/busXXXXXX";
    directory_ = mkdtemp(name.data());
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ + "/bus";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    listener_ = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)),
              0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + path).c_str(), 1);
    thread_ = std::thread([this, greeting] {
      UniqueFd one(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      (void)!write(one.get(), greeting.data(), greeting.size());
      // Until it hangs up.
      char buffer[4096];
      while (read(one.get(), buffer, sizeof(buffer)) > 0) {
      }
    });
  }

  ~SilentBus() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    unlink((directory_ + "/bus").c_str());
    rmdir(directory_.c_str());
  }

 private:
  std::string directory_;
  UniqueFd listener_;
  std::thread thread_;
};

constexpr char kWelcome[] =
    "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n";

void ExpectsTheDeadlineToHold(const std::string& greeting) {
  const auto in_time = [](const absl::Status& status, Clock::time_point start) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
  };
  const absl::Duration moment = absl::Milliseconds(300);
  {
    const SilentBus bus(greeting);
    const auto start = Clock::now();
    Scope scope;
    scope.unit = "caisson-none.scope";
    scope.slice = "system.slice";
    scope.pid = getpid();
    in_time(StartScope(scope, Deadline::After(moment)), start);
  }
  const SilentBus bus(greeting);
  const auto start = Clock::now();
  in_time(StopScope("caisson-none.scope", Deadline::After(moment)), start);
}

TEST(SystemdTest, ABusThatNeverLetsUsInHoldsUpNobody) {
  ExpectsTheDeadlineToHold("");
}

TEST(SystemdTest, ABusThatNeverAnswersHoldsUpNobody) {
  ExpectsTheDeadlineToHold(kWelcome);
}

}  // namespace
}  // namespace caisson::cgroup
