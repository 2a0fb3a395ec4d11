#include "shim/config/keys.h"

#include "shim/config/check.h"

namespace caisson::config {
namespace {

constexpr uint32_t kLargestId = 4294967294;  // the next is "no id"
constexpr uint64_t kGibibyte = uint64_t{1} << 30;
constexpr uint64_t kTebibyte = uint64_t{1} << 40;
constexpr uint64_t kMostFiles = 1073741816;  // the kernel's own bound

constexpr Key kKeys[] = {
    {"", "root", "Images, layers and records: kept over a reboot.",
     Text{[](Config& c) -> std::string& { return c.root; }, CheckPath}},
    {"", "state",
     "Sockets, namespaces and writable layers: gone with a reboot.",
     Text{[](Config& c) -> std::string& { return c.state; }, CheckPath}},
    {"", "socket", "Where the kubelet connects.",
     Text{[](Config& c) -> std::string& { return c.socket; }, CheckSocket}},
    {"", "log_level", "debug, info, warning or error.",
     Text{[](Config& c) -> std::string& { return c.log_level; },
          CheckLogLevel}},
    {"", "kubelet_dir",
     "Volumes outside of it are paths of the host: see host_path below.",
     Text{[](Config& c) -> std::string& { return c.kubelet_dir; }, CheckPath}},
    {"", "keeper", "Path of caisson-keeper; empty: beside caissond.",
     Text{[](Config& c) -> std::string& { return c.keeper; },
          CheckPathOrEmpty}},
    {"", "puller", "Path of caisson-puller; empty: beside caissond.",
     Text{[](Config& c) -> std::string& { return c.puller; },
          CheckPathOrEmpty}},
    {"", "allow_faults",
     "For tests only: keepers fail at the step they are told to.",
     Switch{[](Config& c) -> bool& { return c.allow_faults; }}},
    {"", "default_handler", "The handler of pods without a RuntimeClass.",
     Text{[](Config& c) -> std::string& { return c.default_handler; },
          CheckHandlerName}},
    {"cni", "conf_dir",
     "The first network list here, by name, is the pods' network.",
     Text{[](Config& c) -> std::string& { return c.cni.conf_dir; }, CheckPath}},
    {"cni", "bin_dirs", "Searched for plugins in this order.",
     TextList{
         [](Config& c) -> std::vector<std::string>& { return c.cni.bin_dirs; },
         CheckPath}},
    {"cni", "timeout_seconds", "A plugin that takes longer is killed.",
     Number32{[](Config& c) -> uint32_t& { return c.cni.timeout_seconds; }, 1,
              3600}},
    {"cdi", "spec_dirs",
     "Specs of CDI devices; of one in two directories the later one wins.",
     TextList{
         [](Config& c) -> std::vector<std::string>& { return c.cdi.spec_dirs; },
         CheckPath}},
    {"cdi", "hook_timeout_seconds",
     "A hook that names no timeout and takes longer is killed.",
     Number32{[](Config& c) -> uint32_t& { return c.cdi.hook_timeout_seconds; },
              1, 3600}},
    {"selinux", "enabled",
     "Where the kernel has SELinux, each pod has categories of its own.",
     Switch{[](Config& c) -> bool& { return c.selinux.enabled; }}},
    {"registry", "hosts_dir",
     "hosts.toml of a registry lies in a directory of its name here.",
     Text{[](Config& c) -> std::string& { return c.registry.hosts_dir; },
          CheckPath}},
    {"image", "puller_uid",
     "The unprivileged user that fetches and unpacks images.",
     Number32{[](Config& c) -> uint32_t& { return c.image.puller_uid; }, 1,
              kLargestId}},
    {"image", "puller_gid", "And its group.",
     Number32{[](Config& c) -> uint32_t& { return c.image.puller_gid; }, 1,
              kLargestId}},
    {"image", "parallel_layers",
     "Layers of one image that are fetched at the same time.",
     Number32{[](Config& c) -> uint32_t& { return c.image.parallel_layers; }, 1,
              64}},
    {"image", "volumes",
     "writable: below a read-only root a volume that the image declares can "
     "be\n# written; ignore: it can't.",
     Text{[](Config& c) -> std::string& { return c.image.volumes; },
          CheckVolumes}},
    {"identity", "subid_name",
     "Its range in /etc/subuid and /etc/subgid is the pool of host ids.",
     Text{[](Config& c) -> std::string& { return c.identity.subid_name; },
          CheckUserName}},
    {"identity", "first",
     "Without such an entry: the first host id of the pool.",
     Number32{[](Config& c) -> uint32_t& { return c.identity.first; }, 65536,
              kLargestId}},
    {"identity", "slots",
     "And how many ranges of 65536 ids it holds: one a pod.",
     Number32{[](Config& c) -> uint32_t& { return c.identity.slots; }, 1,
              65534}},
    {"cgroup", "parent", "The cgroup of pods for which the kubelet names none.",
     Text{[](Config& c) -> std::string& { return c.cgroup.parent; },
          CheckCgroup}},
    {"cgroup", "keepers", "The cgroup of the keepers; they outlive caissond.",
     Text{[](Config& c) -> std::string& { return c.cgroup.keepers; },
          CheckCgroup}},
    {"cgroup", "driver",
     "auto, cgroupfs or systemd; auto: systemd where it runs on cgroup v2.",
     Text{[](Config& c) -> std::string& { return c.cgroup.driver; },
          CheckCgroupDriver}},
    {"limits", "shm_bytes", "Size of a pod's /dev/shm.",
     Number64{[](Config& c) -> uint64_t& { return c.limits.shm_bytes; }, 4096,
              kTebibyte}},
    {"limits", "nofile_soft",
     "Open files of a container's processes, where the host allows it.",
     Number64{[](Config& c) -> uint64_t& { return c.limits.nofile_soft; }, 64,
              kMostFiles}},
    {"limits", "nofile_hard", "The limit up to which they may raise it.",
     Number64{[](Config& c) -> uint64_t& { return c.limits.nofile_hard; }, 64,
              kMostFiles}},
    {"limits", "exec_output_bytes",
     "What ExecSync keeps of each of the two outputs.",
     Number64{[](Config& c) -> uint64_t& { return c.limits.exec_output_bytes; },
              1024, kGibibyte}},
    {"limits", "rlimits",
     "Others of setrlimit(2), where the host allows it: core = "
     "\"0:unlimited\".",
     RlimitTable{[](Config& c) -> std::map<std::string, Rlimit>& {
       return c.limits.rlimits;
     }}},
};

}  // namespace

absl::Span<const Key> Keys() {
  return kKeys;
}

}  // namespace caisson::config
