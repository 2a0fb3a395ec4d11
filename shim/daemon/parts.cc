#include "shim/daemon/parts.h"

#include <glob.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/device_filter.h"
#include "runtime/cgroup/systemd.h"
#include "runtime/kernel/selinux_policy.h"
#include "shim/daemon/directories.h"
#include "shim/ops/scopes.h"

namespace caisson::daemon {
namespace {

absl::StatusOr<std::unique_ptr<pod::KeeperFactory>> StartKeepers(
    const ops::Node& node, const std::string& program) {
  const config::Config& config = node.config;
  pod::KeeperFactory::Options options;
  options.binary = program;
  if (config.cgroup.UsesSystemd()) {
    options.place = [keepers = config.cgroup.keepers,
                     &layout = node.layout](int pid) {
      return ops::PlaceForkServer(keepers, layout, pid);
    };
  } else {
    ASSIGN_OR_RETURN(
        const cgroup::Cgroup group,
        cgroup::Cgroup::Create(node.layout, config.cgroup.keepers));
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

absl::StatusOr<std::unique_ptr<ops::Node>> FindNode(
    const config::Config& config) {
  auto node = std::make_unique<ops::Node>();
  node->config = config;
  ASSIGN_OR_RETURN(node->layout,
                   cgroup::DetectLayout(config.state + "/cgroup2"));
  ASSIGN_OR_RETURN(node->config.cgroup.driver,
                   ChooseDriver(config.cgroup.driver, node->layout));
  ASSIGN_OR_RETURN(node->device_filter,
                   cgroup::LoadDeviceFilter(cgroup::StandardDeviceRules()));
  node->thermal_throttle = FindThermalThrottle();
  ASSIGN_OR_RETURN(const std::string boot_id,
                   ReadRegularFile("/proc/sys/kernel/random/boot_id", 100));
  node->boot_id = std::string(absl::StripAsciiWhitespace(boot_id));
  if (config.selinux.enabled) {
    ASSIGN_OR_RETURN(const kernel::SelinuxPolicy policy,
                     kernel::ReadSelinuxPolicy());
    node->selinux = {policy.enabled, policy.process, policy.file};
  }
  return node;
}

image::ImageStore::Options ImageOptions(const config::Config& config,
                                        std::string puller) {
  image::ImageStore::Options options;
  options.root = config.root;
  options.mount_dir = config.state + "/layers";
  options.hosts_dir = config.registry.hosts_dir;
  options.puller_binary = std::move(puller);
  options.puller_uid = config.image.puller_uid;
  options.puller_gid = config.image.puller_gid;
  options.parallel_layers = static_cast<int>(config.image.parallel_layers);
  return options;
}

network::Cni::Options NetworkOptions(const config::Config& config,
                                     const ops::Paths& paths) {
  network::Cni::Options options;
  options.conf_dir = config.cni.conf_dir;
  options.bin_dirs = config.cni.bin_dirs;
  options.cache_dir = paths.NetworkResults();
  options.timeout = absl::Seconds(config.cni.timeout_seconds);
  return options;
}

}  // namespace

absl::StatusOr<Opened> OpenParts(const config::Config& config,
                                 const std::string& program_directory) {
  const ops::Paths paths(config);
  RETURN_IF_ERROR(MakeDirectories(config, paths));
  const auto program = [&](const std::string& configured, const char* name) {
    return configured.empty() ? absl::StrCat(program_directory, "/", name)
                              : configured;
  };
  Opened opened;
  ASSIGN_OR_RETURN(opened.node, FindNode(config));
  opened.pool = PoolOf(config);
  ASSIGN_OR_RETURN(opened.store, store::Store::Open(config.root + "/pods.db"));
  ASSIGN_OR_RETURN(opened.images,
                   image::ImageStore::Open(ImageOptions(
                       config, program(config.puller, "caisson-puller"))));
  opened.cni = network::Cni::Create(NetworkOptions(config, paths));
  opened.devices = std::make_unique<device::Registry>(config.cdi.spec_dirs);
  opened.seccomp = seccomp::Compiler::Create();
  ASSIGN_OR_RETURN(opened.trash, Trash::Open(paths.TrashDirectory()));
  opened.timers = std::make_unique<Timers>();
  ASSIGN_OR_RETURN(opened.collector,
                   ops::OutputCollector::Create(*opened.timers));
  ASSIGN_OR_RETURN(
      opened.keepers,
      StartKeepers(*opened.node, program(config.keeper, "caisson-keeper")));
  return opened;
}

cri::RuntimeService::Parts Parts::ForRuntimeService() {
  return {node,
          *opened.cni,
          registry,
          operations,
          lanes,
          run_pod,
          pod_ending,
          detach_queue,
          create_container,
          start_container,
          stop_container,
          container_ending,
          update_resources,
          exec_sync};
}

recover::Recovery::Parts Parts::ForRecovery() {
  return {node,           paths,       *opened.store,    *opened.cni,
          registry,       transitions, operations,       lanes,
          *opened.images, exits,       keepers,          leases,
          levels,         pod_ending,  container_ending, stop_container,
          detach_queue,   orphans};
}

}  // namespace caisson::daemon
