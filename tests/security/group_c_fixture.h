#pragma once

#include <string>
#include <vector>

#include "tests/security/security_fixture.h"

// What the tests of group C share: identity, capabilities, LSM, seccomp, the
// kernel's surface.
namespace caisson::cri_test {

inline cri::LinuxContainerSecurityContext& Security(cri::ContainerConfig& it) {
  return *it.mutable_linux()->mutable_security_context();
}

class GroupCTest : public SecurityTest {
 protected:
  // Ends the containers at once: the grace of a stop is others' business.
  void TearDown() override;

  // Ends all containers of the test.
  void StopAll();

  // Errno's names of the probe's attempts, in their order.
  std::vector<std::string> TryAll(const std::string& container,
                                  std::vector<std::string> arguments);

  // The status of its creation and start as caisson-probe of `image`.
  grpc::Status TryImage(const std::string& image,
                        const EditContainer& edit = nullptr);

  // What the program at `path` reports of itself when a shell runs it.
  Json ReportOf(const std::string& container, const std::string& path);

  // Expects that the creation fails by code and with the text in its message,
  // and that nothing was started.
  void ExpectRefused(const std::string& pod, const EditContainer& edit,
                     grpc::StatusCode code, const std::string& text);
};

// A set of the report ("effective", "inheritable"...) as bits.
uint64_t CapabilitySet(const Json& report, const char* set);

}  // namespace caisson::cri_test
