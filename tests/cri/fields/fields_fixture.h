#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/cri/fixture/cri_fixture.h"

namespace caisson::cri_test {

using Json = nlohmann::json;

inline constexpr char kProbeImage[] = "docker.io/library/caisson-probe:latest";

// Runs containers of caisson-probe and asks it, from inside, what a field of
// the request did.
class FieldsTest : public CriTest {
 protected:
  void SetUp() override;

  using EditPod = std::function<void(cri::PodSandboxConfig&)>;
  using EditContainer = std::function<void(cri::ContainerConfig&)>;

  void Pull(const std::string& image);
  // A pod on the host's network unless `edit` says else; its id.
  std::string Pod(const EditPod& edit = nullptr,
                  const std::string& handler = "");
  // A container that sleeps, started; its id.  Empty after a failure.  Each is
  // audited when it is created and when it runs (audit.h).
  std::string Start(const std::string& pod,
                    const EditContainer& edit = nullptr);
  // One that is not started yet; its id as the message of an OK.
  grpc::Status TryCreateOnly(const std::string& pod, const EditContainer& edit);
  // The status of its creation and start.
  grpc::Status TryCreate(const std::string& pod, const EditContainer& edit);

  // What `caisson-probe ARGUMENTS` prints inside, by an exec; null and a
  // failed test when it doesn't run.
  Json Probe(const std::string& container,
             const std::vector<std::string>& arguments);

  Json Report(const std::string& container) {
    return Probe(container, {"report"});
  }

  // Errno's name of the last of the probe's attempts, "OK" for success.
  std::string Try(const std::string& container,
                  const std::vector<std::string>& arguments);
  // Text of a file inside; the errno's name in < > when it can't be read.
  std::string Read(const std::string& container, const std::string& path);

  // A value of the container's cgroup: on v2 read inside, on v1 (whose trees
  // no container sees) from the host.
  std::string Limit(const std::string& container, const std::string& v2_file,
                    const std::string& v1_controller,
                    const std::string& v1_file);

  // The JSON of its verbose status.
  Json Info(const std::string& container);
  // Host pid of its init.
  int PidOf(const std::string& container);
  // Its cgroup's path in the v2 hierarchy, as the host sees it.
  std::string CgroupOf(const std::string& container);

  // Whether containers have the masked and read-only paths that the kubelet
  // sends for one that says nothing of them.
  bool kubelets_paths_ = false;
  // Whether each container is audited from outside, before and after its start.
  bool audits_ = true;

 private:
  cri::PodSandboxConfig last_pod_;
  cri::ContainerConfig last_container_;
  int number_ = 0;
};

// Inode of this process's own namespace: that of the host.
uint64_t HostNamespace(const std::string& name);

}  // namespace caisson::cri_test
