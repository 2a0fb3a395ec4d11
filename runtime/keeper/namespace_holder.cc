#include "runtime/keeper/namespace_holder.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/frame.h"
#include "runtime/base/status.h"
#include "runtime/keeper/sysctls.h"
#include "runtime/kernel/credentials.h"
#include "runtime/kernel/procfs.h"

namespace caisson::keeper {
namespace {

// Nothing of a pod is there yet that could stop the child; what it waits for
// is the kernel's own work.
constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr absl::Duration kEndTime = absl::Seconds(1);

absl::Status BringLoopbackUp() {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd.ok()) {
    return ErrnoError("open", "socket");
  }
  ifreq request = {};
  memcpy(request.ifr_name, "lo", sizeof("lo"));
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(socket_fd.get(), SIOCSIFFLAGS, &request) != 0) {
    return ErrnoError("bring up", "loopback interface");
  }
  return absl::OkStatus();
}

absl::Status ConfigureInChild(const v1::PodPlan& plan) {
  if (!plan.uids().empty()) {
    RETURN_IF_ERROR(kernel::SetIds(0, 0, {}));
  }
  if (plan.own_uts() &&
      sethostname(plan.hostname().data(), plan.hostname().size()) != 0) {
    return ErrnoError("set hostname", plan.hostname());
  }
  if (plan.own_network()) {
    RETURN_IF_ERROR(BringLoopbackUp());
  }
  for (const auto& [name, value] : plan.sysctls()) {
    RETURN_IF_ERROR(WriteSysctl(name, value));
  }
  return absl::OkStatus();
}

absl::Status MakeNamespaces(const v1::PodPlan& plan, kernel::Owner root) {
  int flags = (plan.own_network() ? CLONE_NEWNET : 0) |
              (plan.own_ipc() ? CLONE_NEWIPC : 0) |
              (plan.own_uts() ? CLONE_NEWUTS : 0);
  if (!plan.uids().empty()) {
    RETURN_IF_ERROR(kernel::SetIds(root.uid, root.gid, {}));
    flags |= CLONE_NEWUSER;
  }
  if (unshare(flags) != 0) {
    return ErrnoError("make", "namespaces");
  }
  return kernel::ForbidDumping();
}

// Sends the result of a phase: an empty frame, or an Error.
absl::Status Report(int channel, const absl::Status& status) {
  std::string bytes;
  if (!status.ok()) {
    v1::Error error;
    error.set_code(static_cast<int>(status.code()));
    error.set_message(std::string(status.message()));
    error.SerializeToString(&bytes);
  }
  return SendFrame(channel, bytes, {});
}

[[noreturn]] void RunChild(int channel, const v1::PodPlan& plan,
                           kernel::Owner root) {
  absl::Status status = MakeNamespaces(plan, root);
  if (!Report(channel, status).ok() || !status.ok()) {
    _exit(1);
  }
  // The maps are written meanwhile; the end of the channel: the keeper gave
  // up.
  if (!ReceiveFrame(channel).ok()) {
    _exit(1);
  }
  status = ConfigureInChild(plan);
  if (!Report(channel, status).ok() || !status.ok()) {
    _exit(1);
  }
  // Until the keeper holds the namespaces and closes its end.
  [[maybe_unused]] const bool ended = ReceiveFrame(channel).ok();
  _exit(0);
}

std::string MapText(
    const google::protobuf::RepeatedPtrField<v1::IdExtent>& map) {
  std::string text;
  for (const v1::IdExtent& extent : map) {
    absl::StrAppend(&text, extent.container_id(), " ", extent.host_id(), " ",
                    extent.length(), "\n");
  }
  return text;
}

// Maps are written with one write(2): user_namespaces(7).
absl::Status WriteMap(pid_t pid, const char* name, const std::string& text) {
  const std::string path = absl::StrCat(pid, "/", name);
  ASSIGN_OR_RETURN(const UniqueFd file, kernel::OpenProcFile(path, O_WRONLY));
  if (write(file.get(), text.data(), text.size()) !=
      static_cast<ssize_t>(text.size())) {
    return ErrnoError("write", path);
  }
  return absl::OkStatus();
}

}  // namespace

NamespaceHolder::~NamespaceHolder() {
  if (!pidfd_.ok()) {
    return;
  }
  channel_.reset();
  // Already ended, or about to: killing spares a wait for a stuck one.
  SendKill(pidfd_.get());
  // It has no memory and no files to take down.
  pollfd end = {pidfd_.get(), POLLIN, 0};
  poll(&end, 1, Deadline::After(kEndTime).poll_timeout());
  reaper_.Leave(std::move(pidfd_));
}

absl::Status NamespaceHolder::Start(const v1::PodPlan& plan,
                                    kernel::Owner root) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  UniqueFd mine(ends[0]);
  UniqueFd theirs(ends[1]);
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork({}));
  if (forked.pid == 0) {
    mine.reset();
    RunChild(theirs.get(), plan, root);
  }
  pid_ = forked.pid;
  pidfd_ = std::move(forked.pidfd);
  channel_ = std::move(mine);
  theirs.reset();
  return AwaitChild();
}

absl::Status NamespaceHolder::AwaitChild() {
  ASSIGN_OR_RETURN(const Frame frame,
                   ReceiveFrame(channel_.get(), Deadline::After(kPatience)));
  if (frame.bytes.empty()) {
    return absl::OkStatus();
  }
  v1::Error error;
  if (!error.ParseFromString(frame.bytes)) {
    return absl::InternalError("read report of child: malformed");
  }
  return absl::Status(static_cast<absl::StatusCode>(error.code()),
                      error.message());
}

absl::Status NamespaceHolder::WriteIdMaps(
    const google::protobuf::RepeatedPtrField<v1::IdExtent>& uids,
    const google::protobuf::RepeatedPtrField<v1::IdExtent>& gids) {
  RETURN_IF_ERROR(WriteMap(pid_, "uid_map", MapText(uids)));
  return WriteMap(pid_, "gid_map", MapText(gids));
}

absl::Status NamespaceHolder::Configure() {
  RETURN_IF_ERROR(SendFrame(channel_.get(), "", {}));
  return AwaitChild();
}

absl::StatusOr<UniqueFd> NamespaceHolder::Open(kernel::Namespace kind) const {
  return kernel::OpenNamespace(pidfd_.get(), kind);
}

}  // namespace caisson::keeper
