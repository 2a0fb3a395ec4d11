#pragma once

#include <memory>
#include <string>

#include "shim/core/container.h"
#include "shim/core/pod.h"

// Pods and containers as tests need them: of a few words.
namespace caisson::testing {

// The id of 64 digits that begins with `begin`.
inline std::string IdOf(const std::string& begin) {
  return begin + std::string(64 - begin.size(), '0');
}

inline core::PodFacts PodFactsOf(
    const std::string& id, const std::string& name,
    state::v1::PodRecord::State state = state::v1::PodRecord::READY) {
  core::PodFacts facts;
  auto config = std::make_shared<core::v1::PodSandboxConfig>();
  config->mutable_metadata()->set_name(name);
  config->mutable_metadata()->set_uid("uid-" + name);
  config->mutable_metadata()->set_namespace_("default");
  facts.config = std::move(config);
  facts.record.set_id(id);
  facts.record.set_state(state);
  return facts;
}

inline core::ContainerFacts ContainerFactsOf(
    const std::string& id, const std::string& pod_id, const std::string& name,
    state::v1::ContainerRecord::State state =
        state::v1::ContainerRecord::CREATING) {
  core::ContainerFacts facts;
  auto config = std::make_shared<core::v1::ContainerConfig>();
  config->mutable_metadata()->set_name(name);
  facts.config = std::move(config);
  facts.record.set_id(id);
  facts.record.set_pod_id(pod_id);
  facts.record.set_state(state);
  return facts;
}

}  // namespace caisson::testing
