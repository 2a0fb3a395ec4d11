#include "runtime/cgroup/systemd.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "runtime/base/status.h"

namespace caisson::cgroup {
namespace {

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr char kNoSuchUnit[] = "org.freedesktop.systemd1.NoSuchUnit";

using Bus = std::unique_ptr<sd_bus, decltype(&sd_bus_close_unref)>;
using Message =
    std::unique_ptr<sd_bus_message, decltype(&sd_bus_message_unref)>;

// A call's error as the bus gave it.
struct Error {
  sd_bus_error it = SD_BUS_ERROR_NULL;

  ~Error() { sd_bus_error_free(&it); }

  absl::Status ToStatus(absl::string_view what, int result) const {
    const absl::Status status = absl::ErrnoToStatus(-result, what);
    return it.message == nullptr
               ? status
               : absl::Status(status.code(),
                              absl::StrCat(what, ": ", it.message));
  }
};

// For the calls of sd-bus, which take microseconds; the least that isn't their
// default.
uint64_t Microseconds(Deadline deadline) {
  const int64_t left = absl::ToInt64Microseconds(deadline.left());
  return static_cast<uint64_t>(std::max<int64_t>(left, 1));
}

// Handles what came, or waits for it.
absl::Status Turn(sd_bus* bus, Deadline deadline, absl::string_view what) {
  int result = sd_bus_process(bus, nullptr);
  if (result == 0) {
    if (deadline.passed()) {
      return absl::DeadlineExceededError(
          absl::StrCat(what, ": no answer in time"));
    }
    result = sd_bus_wait(bus, Microseconds(deadline));
  }
  return result < 0 && result != -EINTR ? absl::ErrnoToStatus(-result, what)
                                        : absl::OkStatus();
}

absl::StatusOr<Bus> OpenBus(Deadline deadline) {
  sd_bus* raw = nullptr;
  const int result = sd_bus_open_system(&raw);
  if (result < 0) {
    return absl::UnavailableError(absl::StrCat(
        "connect to systemd: ",
        absl::ErrnoToStatus(-result, "open system bus").message()));
  }
  // Closed without flushing: that waits without an end, and all that we say
  // has been answered or is not wanted any more.
  Bus bus(raw, sd_bus_close_unref);
  // Calls wait for the handshake with limits of their own (sd_bus_call(3)).
  while (sd_bus_is_ready(bus.get()) == 0) {
    RETURN_IF_ERROR(Turn(bus.get(), deadline, "connect to systemd"));
  }
  if (sd_bus_is_ready(bus.get()) < 0) {
    return absl::UnavailableError("connect to systemd: the bus hung up");
  }
  return bus;
}

// Holds for the calls from here on.
void LimitCalls(sd_bus* bus, Deadline deadline) {
  sd_bus_set_method_call_timeout(bus, Microseconds(deadline));
}

// What JobRemoved says of the jobs that end while we wait for one.
struct Waiter {
  std::string job;     // its object path; empty until it is known
  std::string result;  // "done", "failed", ...; empty while it runs
  // Ended before the call's answer said that they are ours.
  std::vector<std::pair<std::string, std::string>> ended;
};

int OnJobRemoved(sd_bus_message* message, void* data, sd_bus_error*) {
  Waiter& waiter = *static_cast<Waiter*>(data);
  uint32_t id = 0;
  const char* job = nullptr;
  const char* unit = nullptr;
  const char* result = nullptr;
  if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) < 0) {
    return 0;
  }
  if (waiter.job.empty()) {
    waiter.ended.emplace_back(job, result);
  } else if (waiter.job == job) {
    waiter.result = result;
  }
  return 0;
}

absl::Status Append(sd_bus_message* call, const Scope& scope) {
  const uint32_t pids[] = {static_cast<uint32_t>(scope.pid)};
  int result = sd_bus_message_append(call, "ss", scope.unit.c_str(), "fail");
  const auto add = [&](int next) { result = result < 0 ? result : next; };
  add(sd_bus_message_open_container(call, 'a', "(sv)"));
  add(sd_bus_message_append(call, "(sv)", "Description", "s",
                            scope.description.c_str()));
  add(sd_bus_message_append(call, "(sv)", "Slice", "s", scope.slice.c_str()));
  add(sd_bus_message_append(call, "(sv)", "Delegate", "b", 1));
  // Without it a scope has at most what is systemd's default.
  add(sd_bus_message_append(call, "(sv)", "TasksMax", "t", UINT64_MAX));
  // Nobody else is to look after its end.
  add(sd_bus_message_append(call, "(sv)", "DefaultDependencies", "b", 0));
  add(sd_bus_message_append(call, "(sv)", "CollectMode", "s",
                            "inactive-or-failed"));
  add(sd_bus_message_open_container(call, 'r', "sv"));
  add(sd_bus_message_append(call, "s", "PIDs"));
  add(sd_bus_message_open_container(call, 'v', "au"));
  add(sd_bus_message_append_array(call, 'u', pids, sizeof(pids)));
  add(sd_bus_message_close_container(call));
  add(sd_bus_message_close_container(call));
  add(sd_bus_message_close_container(call));
  add(sd_bus_message_append(call, "a(sa(sv))", 0));
  return result < 0 ? absl::ErrnoToStatus(-result, "write message")
                    : absl::OkStatus();
}

absl::StatusOr<std::string> CallStart(sd_bus* bus, const Scope& scope) {
  sd_bus_message* raw = nullptr;
  int result = sd_bus_message_new_method_call(bus, &raw, kService, kPath,
                                              kManager, "StartTransientUnit");
  const Message call(raw, sd_bus_message_unref);
  if (result < 0) {
    return absl::ErrnoToStatus(-result, "write message");
  }
  RETURN_IF_ERROR(Append(call.get(), scope));
  Error error;
  sd_bus_message* answer = nullptr;
  result = sd_bus_call(bus, call.get(), 0, &error.it, &answer);
  const Message reply(answer, sd_bus_message_unref);
  const char* job = nullptr;
  if (result >= 0) {
    result = sd_bus_message_read(answer, "o", &job);
  }
  return result < 0 ? absl::StatusOr<std::string>(
                          error.ToStatus("ask systemd", result))
                    : std::string(job);
}

absl::Status Await(sd_bus* bus, Waiter& waiter, Deadline deadline) {
  for (const auto& [job, result] : waiter.ended) {
    if (job == waiter.job) {
      waiter.result = result;
    }
  }
  while (waiter.result.empty()) {
    RETURN_IF_ERROR(Turn(bus, deadline, "wait for systemd's job"));
  }
  return waiter.result == "done"
             ? absl::OkStatus()
             : absl::InternalError(
                   absl::StrCat("systemd's job ended as ", waiter.result));
}

absl::Status TryStart(const Scope& scope, Deadline deadline) {
  // Before the bus: its slots point here.
  Waiter waiter;
  ASSIGN_OR_RETURN(const Bus bus, OpenBus(deadline));
  LimitCalls(bus.get(), deadline);
  const int result =
      sd_bus_match_signal(bus.get(), nullptr, kService, kPath, kManager,
                          "JobRemoved", OnJobRemoved, &waiter);
  if (result < 0) {
    return absl::ErrnoToStatus(-result, "watch systemd's jobs");
  }
  LimitCalls(bus.get(), deadline);
  ASSIGN_OR_RETURN(waiter.job, CallStart(bus.get(), scope));
  return Await(bus.get(), waiter, deadline);
}

}  // namespace

bool SystemdRuns() {
  return sd_booted() > 0;
}

absl::StatusOr<std::string> ExpandSlice(absl::string_view slice) {
  const absl::string_view name = slice.substr(slice.rfind('/') + 1);
  absl::string_view stem = name;
  if (!absl::ConsumeSuffix(&stem, ".slice") || stem.empty()) {
    return absl::InvalidArgumentError("is not the name of a slice");
  }
  if (stem == "-") {
    return std::string();
  }
  std::string path;
  std::string parent;
  for (absl::string_view part : absl::StrSplit(stem, '-')) {
    if (part.empty()) {
      return absl::InvalidArgumentError("is not the name of a slice");
    }
    absl::StrAppend(&parent, parent.empty() ? "" : "-", part);
    absl::StrAppend(&path, path.empty() ? "" : "/", parent, ".slice");
  }
  return path;
}

absl::Status StartScope(const Scope& scope, Deadline deadline) {
  return Annotate(TryStart(scope, deadline),
                  absl::StrCat("start scope ", scope.unit));
}

absl::Status StopScope(const std::string& unit, Deadline deadline) {
  const std::string what = absl::StrCat("stop scope ", unit);
  absl::StatusOr<Bus> bus = OpenBus(deadline);
  RETURN_IF_ERROR(Annotate(bus.status(), what));
  LimitCalls(bus->get(), deadline);
  Error error;
  const int result =
      sd_bus_call_method(bus->get(), kService, kPath, kManager, "StopUnit",
                         &error.it, nullptr, "ss", unit.c_str(), "replace");
  if (result >= 0 || sd_bus_error_has_name(&error.it, kNoSuchUnit)) {
    return absl::OkStatus();
  }
  return error.ToStatus(what, result);
}

}  // namespace caisson::cgroup
