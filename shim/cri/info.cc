#include "shim/cri/info.h"

#include "runtime/base/json.h"
#include "runtime/identity/capabilities.h"

namespace caisson::cri {
namespace {

template <typename Extents>
json::Value MapJson(const Extents& extents) {
  json::Value list = json::Value::array();
  for (const auto& extent : extents) {
    list.push_back({{"containerId", extent.container_id()},
                    {"hostId", extent.host_id()},
                    {"length", extent.length()}});
  }
  return list;
}

json::Value StepsJson(const core::StepTimes& steps) {
  json::Value list = json::Value::array();
  for (const keeper::v1::StepTime& step : steps) {
    list.push_back(
        {{"step", step.step()}, {"nanoseconds", step.nanoseconds()}});
  }
  return list;
}

json::Value CapabilitiesJson(const keeper::v1::Capabilities& sets) {
  return {{"bounding", identity::CapabilityNames(sets.bounding())},
          {"permitted", identity::CapabilityNames(sets.permitted())},
          {"effective", identity::CapabilityNames(sets.effective())},
          {"inheritable", identity::CapabilityNames(sets.inheritable())},
          {"ambient", identity::CapabilityNames(sets.ambient())}};
}

template <typename Mounts>
json::Value MountsJson(const Mounts& mounts) {
  json::Value list = json::Value::array();
  for (const keeper::v1::MappedMount& mount : mounts) {
    json::Value one = {{"target", mount.target()},
                       {"ids", mount.mapped() ? "mapped" : "unmapped"}};
    if (mount.unmapped_below_size() > 0) {
      one["unmappedBelow"] = std::vector<std::string>(
          mount.unmapped_below().begin(), mount.unmapped_below().end());
    }
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::string PodInfo(const core::PodFacts& pod, const std::string& handler) {
  const state::v1::PodRecord& record = pod.record;
  return json::Dump({{"pid", record.keeper_pid()},
                     {"uidMap", MapJson(record.uids())},
                     {"gidMap", MapJson(record.gids())},
                     {"cgroupPath", record.cgroup()},
                     {"networkNamespace", record.netns_path()},
                     {"runtimeHandler", handler},
                     {"stepTimes", StepsJson(pod.steps)}});
}

std::string ContainerInfo(const core::ContainerFacts& container) {
  const state::v1::ContainerRecord& record = container.record;
  keeper::v1::ReadBack facts;
  facts.ParseFromString(record.read_back());
  return json::Dump({{"pid", record.pid()},
                     {"uidMap", MapJson(facts.uids())},
                     {"gidMap", MapJson(facts.gids())},
                     {"uid", facts.uid()},
                     {"gid", facts.gid()},
                     {"groups", std::vector<uint32_t>(facts.groups().begin(),
                                                      facts.groups().end())},
                     {"capabilities", CapabilitiesJson(facts.capabilities())},
                     {"noNewPrivs", facts.no_new_privileges()},
                     {"seccompMode", record.seccomp_mode()},
                     {"cgroupPath", record.cgroup()},
                     {"mounts", MountsJson(facts.mounts())},
                     {"stepTimes", StepsJson(container.steps)}});
}

}  // namespace caisson::cri
