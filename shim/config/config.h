#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace caisson::config {

enum class UserNamespacePolicy {
  kAlways,     // a range of its own for every pod but the named exceptions
  kRequested,  // exactly what the CRI's user namespace option says
};

// How a pod with ids of its own sees a directory of the host that the kubelet
// did not make.
enum class HostPathPolicy {
  kMap,       // as without a user namespace: root writes root's files
  kUnmapped,  // as the host's: root is nobody there
  kRefuse,    // not at all
};

// What becomes of a volume, or a mount below one, that can't be ID-mapped.
enum class UnmappablePolicy {
  kRefuse,
  kUnmapped,  // root is nobody there
};

// A runtime handler: what a RuntimeClass names.
struct Handler {
  UserNamespacePolicy user_namespace = UserNamespacePolicy::kAlways;
  HostPathPolicy host_path = HostPathPolicy::kMap;
  UnmappablePolicy unmappable = UnmappablePolicy::kRefuse;
  // Bit N is capability N; absent: no ceiling.
  std::optional<uint64_t> capability_ceiling;
  bool privileged_without_host_devices = false;
  bool device_ownership_from_security_context = false;

  bool operator==(const Handler&) const = default;
};

// A limit of setrlimit(2).
struct Rlimit {
  int resource = 0;   // RLIMIT_*
  uint64_t soft = 0;  // RLIM_INFINITY: unlimited
  uint64_t hard = 0;

  bool operator==(const Rlimit&) const = default;
};

// Everything caissond can be told, with what holds when nothing is.  Each
// member is one key of the TOML file; `caissonctl config default` prints all
// with a comment each.
struct Config {
  std::string root = "/var/lib/caisson";  // durable: images, layers, records
  std::string state = "/run/caisson";     // gone with a reboot
  std::string socket = "/run/caisson/caisson.sock";
  std::string log_level = "info";
  // Volumes below it were made by the kubelet; others are paths of the host.
  std::string kubelet_dir = "/var/lib/kubelet";

  std::string keeper = "";  // path; empty: beside caissond
  std::string puller = "";
  bool allow_faults = false;  // tests: keepers accept injected faults

  struct Cni {
    std::string conf_dir = "/etc/cni/net.d";
    std::vector<std::string> bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
    uint32_t timeout_seconds = 60;

    bool operator==(const Cni&) const = default;
  } cni;

  struct Cdi {
    std::vector<std::string> spec_dirs = {"/etc/cdi", "/var/run/cdi"};
    uint32_t hook_timeout_seconds = 60;

    bool operator==(const Cdi&) const = default;
  } cdi;

  struct Selinux {
    bool enabled = true;  // where the kernel has it

    bool operator==(const Selinux&) const = default;
  } selinux;

  struct Registry {
    std::string hosts_dir = "/etc/caisson/hosts.d";

    bool operator==(const Registry&) const = default;
  } registry;

  struct Image {
    uint32_t puller_uid = 65534;
    uint32_t puller_gid = 65534;
    uint32_t parallel_layers = 4;
    // writable or ignore: the volumes that images declare.
    std::string volumes = "writable";

    bool operator==(const Image&) const = default;
  } image;

  struct Identity {
    std::string subid_name = "caisson";  // entry of /etc/subuid and subgid
    uint32_t first = 268435456;          // without such an entry
    uint32_t slots = 4096;

    bool operator==(const Identity&) const = default;
  } identity;

  struct Cgroup {
    std::string parent = "caisson";  // for pods without a cgroup_parent
    std::string keepers = "caisson.keepers";
    // auto, cgroupfs or systemd; no longer auto once the daemon runs.
    std::string driver = "auto";

    bool UsesSystemd() const { return driver == "systemd"; }

    bool operator==(const Cgroup&) const = default;
  } cgroup;

  struct Limits {
    uint64_t shm_bytes = 67108864;
    uint64_t nofile_soft = 1048576;
    uint64_t nofile_hard = 1048576;
    uint64_t exec_output_bytes = 16777216;
    std::map<std::string, Rlimit> rlimits;  // by lower-case name, "core"

    bool operator==(const Limits&) const = default;
  } limits;

  std::string default_handler = "caisson";
  std::map<std::string, Handler> handlers = {
      {"caisson", {UserNamespacePolicy::kAlways}},
      {"caisson-requested", {UserNamespacePolicy::kRequested}},
  };

  bool operator==(const Config&) const = default;
};

// Reads `path`, at most 1 MiB; what the file doesn't say keeps its default, and
// handlers it names are added to the two above.  InvalidArgument names file,
// line, key and what is wrong; an unknown key is an error.
absl::StatusOr<Config> Load(const std::string& path);

// The defaults as commented TOML, which Load() reads back to Config{}.
std::string DefaultToml();

}  // namespace caisson::config
