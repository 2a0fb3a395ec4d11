#include "shim/cri/daemon.h"

#include <fcntl.h>
#include <glob.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/device_filter.h"
#include "runtime/cgroup/systemd.h"
#include "runtime/kernel/selinux_policy.h"
#include "shim/cri/image_service.h"
#include "shim/cri/runtime_service.h"
#include "shim/cri/scopes.h"

namespace caisson::cri {
namespace {

constexpr int kMaxMessageBytes = 16 << 20;
constexpr auto kDrainTime = std::chrono::seconds(5);

absl::Status MakeDirectory(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    // Parents are the machine's: they may be entered.
    mkdir(path.substr(0, slash).c_str(), 0755);
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", path);
  }
  return absl::OkStatus();
}

// The lowest layer of every container: mount points that few images have.  An
// overlay that has to make them copies /etc up first, 0.25 ms in all.
absl::Status MakeBaseLayer(const std::string& base) {
  RETURN_IF_ERROR(MakeDirectory(base));
  for (const char* name : {"/dev", "/etc", "/proc", "/sys"}) {
    const std::string path = base + name;
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrnoError("create directory", path);
    }
  }
  for (const char* name : {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}) {
    const std::string path = base + name;
    const UniqueFd file(
        open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file.ok()) {
      return ErrnoError("create", path);
    }
  }
  return chmod(base.c_str(), 0755) == 0 ? absl::OkStatus()
                                        : ErrnoError("change mode of", base);
}

absl::Status MakeDirectories(const config::Config& config) {
  for (const std::string& path :
       {config.root, config.root + "/containers", config.state,
        config.state + "/pods", config.state + "/keepers",
        config.state + "/netns", config.state + "/cni"}) {
    RETURN_IF_ERROR(MakeDirectory(path));
  }
  RETURN_IF_ERROR(MakeBaseLayer(config.state + "/base"));
  // What pods' ids must walk through has no more than that: uppers and layers
  // are reached by mounts made as root.
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<pod::KeeperFactory>> StartKeepers(
    const config::Config& config, const cgroup::Layout& layout,
    const std::string& program) {
  pod::KeeperFactory::Options options;
  options.binary = program;
  if (config.cgroup.UsesSystemd()) {
    options.place = [keepers = config.cgroup.keepers, &layout](int pid) {
      return PlaceForkServer(keepers, layout, pid);
    };
  } else {
    ASSIGN_OR_RETURN(const cgroup::Cgroup group,
                     cgroup::Cgroup::Create(layout, config.cgroup.keepers));
    options.keepers_cgroup = group.unified_path();
  }
  options.allow_faults = config.allow_faults;
  return pod::KeeperFactory::Start(options);
}

identity::IdPool PoolOf(const config::Config& config) {
  const absl::StatusOr<identity::IdPool> pool = identity::ReadPool(
      "/etc/subuid", "/etc/subgid", config.identity.subid_name);
  if (pool.ok()) {
    return *pool;
  }
  if (!absl::IsNotFound(pool.status())) {
    LogWarning(absl::StrCat("read id pool: ", pool.status().message(),
                            ": the configured one is used"));
  }
  return {config.identity.first, config.identity.slots};
}

// The driver that "auto" means here.
absl::StatusOr<std::string> ChooseDriver(const std::string& configured,
                                         const cgroup::Layout& layout) {
  const bool can = layout.is_v2() && cgroup::SystemdRuns();
  if (configured == "systemd" && !can) {
    return absl::FailedPreconditionError(
        "use cgroup.driver systemd: it needs cgroup v2 and a running systemd");
  }
  return can && configured != "cgroupfs" ? "systemd" : "cgroupfs";
}

// How often each CPU was too hot: a clock that all containers could read.
std::vector<std::string> FindThermalThrottle() {
  std::vector<std::string> paths;
  glob_t found = {};
  if (glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle", GLOB_ONLYDIR,
           nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  return paths;
}

// A socket left by a daemon that is gone is removed; one that answers is
// somebody's.
absl::Status RemoveStaleSocket(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen at ", path, ": the path is too long"));
  }
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) == 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("listen at ", path, ": a daemon answers there"));
  }
  unlink(path.c_str());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> OpenRuntime(
    const config::Config& config, const std::string& program_directory) {
  RETURN_IF_ERROR(MakeDirectories(config));
  const auto program = [&](const std::string& configured, const char* name) {
    return configured.empty() ? absl::StrCat(program_directory, "/", name)
                              : configured;
  };
  Runtime::Parts parts;
  parts.config = config;
  ASSIGN_OR_RETURN(parts.layout,
                   cgroup::DetectLayout(config.state + "/cgroup2"));
  ASSIGN_OR_RETURN(parts.config.cgroup.driver,
                   ChooseDriver(config.cgroup.driver, parts.layout));
  parts.pool = PoolOf(config);
  ASSIGN_OR_RETURN(parts.store, store::Store::Open(config.root + "/pods.db"));
  image::ImageStore::Options images;
  images.root = config.root;
  images.mount_dir = config.state + "/layers";
  images.hosts_dir = config.registry.hosts_dir;
  images.puller_binary = program(config.puller, "caisson-puller");
  images.puller_uid = config.image.puller_uid;
  images.puller_gid = config.image.puller_gid;
  images.parallel_layers = static_cast<int>(config.image.parallel_layers);
  ASSIGN_OR_RETURN(parts.images, image::ImageStore::Open(std::move(images)));
  network::Cni::Options cni;
  cni.conf_dir = config.cni.conf_dir;
  cni.bin_dirs = config.cni.bin_dirs;
  cni.cache_dir = config.state + "/cni";
  cni.timeout = absl::Seconds(config.cni.timeout_seconds);
  parts.cni = network::Cni::Create(std::move(cni));
  parts.devices = std::make_unique<device::Registry>(config.cdi.spec_dirs);
  parts.seccomp = seccomp::Compiler::Create();
  ASSIGN_OR_RETURN(parts.device_filter,
                   cgroup::LoadDeviceFilter(cgroup::StandardDeviceRules()));
  parts.thermal_throttle = FindThermalThrottle();
  if (config.selinux.enabled) {
    ASSIGN_OR_RETURN(const kernel::SelinuxPolicy policy,
                     kernel::ReadSelinuxPolicy());
    parts.selinux = {policy.enabled, policy.process, policy.file};
  }
  // In memory the layout has its last place now: cgroups point to it.
  auto runtime = std::make_unique<Runtime>(std::move(parts));
  RETURN_IF_ERROR(
      runtime->StartKeepers(program(config.keeper, "caisson-keeper")));
  return runtime;
}

absl::Status Runtime::StartKeepers(const std::string& program) {
  ASSIGN_OR_RETURN(parts_.keepers,
                   cri::StartKeepers(parts_.config, parts_.layout, program));
  return absl::OkStatus();
}

absl::Status Serve(Runtime& runtime) {
  // Before any thread of gRPC: all inherit the mask.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  const std::string& path = runtime.config().socket;
  RETURN_IF_ERROR(RemoveStaleSocket(path));
  RuntimeService runtime_service(runtime);
  ImageService image_service(runtime.images());
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix://" + path, grpc::InsecureServerCredentials());
  builder.RegisterService(&runtime_service);
  builder.RegisterService(&image_service);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  // Nobody but us from the socket's first moment.
  const mode_t mask = umask(0177);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  umask(mask);
  if (server == nullptr) {
    return absl::InternalError(absl::StrCat("listen at ", path, ": failed"));
  }
  LogInfo(absl::StrCat("serving the CRI at ", path));
  int signal = 0;
  sigwait(&ends, &signal);
  LogInfo("stopping; pods go on running");
  server->Shutdown(std::chrono::system_clock::now() + kDrainTime);
  server->Wait();
  return absl::OkStatus();
}

}  // namespace caisson::cri
