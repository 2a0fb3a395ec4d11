#include "runtime/keeper/sysctls.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/procfs.h"

namespace caisson::keeper {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

absl::Status WriteAll(ChildContext& context, const v1::WriteSysctls& call) {
  RETURN_IF_ERROR(steps::ForbidTracing(context));
  RETURN_IF_ERROR(steps::EnterPodNamespaces(context));
  RETURN_IF_ERROR(kernel::CloseAllBut({context.channel}));
  for (const auto& [name, value] : call.sysctls()) {
    RETURN_IF_ERROR(WriteSysctl(name, value));
  }
  return absl::OkStatus();
}

[[noreturn]] void RunWriter(const Pod& pod, int channel,
                            const v1::WriteSysctls& call) {
  const v1::Process none;
  ChildContext context{pod, none};
  context.channel = channel;
  const absl::Status status = WriteAll(context, call);
  v1::ChildMessage message;
  message.set_ready(status.ok());
  if (!status.ok()) {
    *message.mutable_error() = ToError(status, "");
  }
  // The keeper sees the end of the channel if this fails.
  [[maybe_unused]] const absl::Status sent = SendMessage(channel, message, {});
  _exit(0);
}

}  // namespace

absl::StatusOr<std::string> SysctlPath(const std::string& name) {
  const size_t first = name.find_first_of("./");
  std::string path = name;
  if (first != std::string::npos && name[first] == '.') {
    for (char& letter : path) {
      letter = letter == '.' ? '/' : letter == '/' ? '.' : letter;
    }
  }
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat("sysctl ", name, ": not a name"));
    }
  }
  return path;
}

absl::Status WriteSysctl(const std::string& name, const std::string& value) {
  ASSIGN_OR_RETURN(const std::string path, SysctlPath(name));
  const absl::StatusOr<UniqueFd> file =
      kernel::OpenProcFile(absl::StrCat("sys/", path), O_WRONLY);
  if (!file.ok()) {
    return Annotate(file.status(), absl::StrCat("sysctl ", name));
  }
  if (write(file->get(), value.data(), value.size()) !=
      static_cast<ssize_t>(value.size())) {
    return ErrnoError("write sysctl", absl::StrCat(name, "=", value));
  }
  return absl::OkStatus();
}

absl::Status SysctlWork::Begin() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  channel_.fd.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork({}));
  if (forked.pid == 0) {
    RunWriter(pod_, theirs.get(), call_);
  }
  child_ = std::move(forked.pidfd);
  patience_ = Deadline::After(kPatience);
  return absl::OkStatus();
}

StepResult SysctlWork::Resume() {
  RETURN_IF_ERROR(cancelled_);
  if (!channel_.fd.ok()) {
    RETURN_IF_ERROR(Begin());
  }
  const absl::StatusOr<std::optional<ReceivedMessage>> received =
      channel_.Receive();
  if (absl::IsOutOfRange(received.status())) {
    return absl::AbortedError("write sysctls: the child was killed");
  }
  RETURN_IF_ERROR(received.status());
  if (!received->has_value()) {
    if (patience_.passed()) {
      return absl::DeadlineExceededError(
          "write sysctls: the kernel takes long");
    }
    return StepResult::WhenReadable(channel_.fd.get(), patience_);
  }
  const v1::ChildMessage& message = (*received)->message;
  return message.has_error() ? ToStatus(message.error()) : absl::OkStatus();
}

}  // namespace caisson::keeper
