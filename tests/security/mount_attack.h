#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/security/security_fixture.h"

namespace caisson::cri_test {

// What the tests of group B have in common: directories of the host that
// containers share, and containers that are either refused or contained.
class MountAttackTest : public SecurityTest {
 protected:
  void TearDown() override;

  // A new directory of the host that everybody may write to.
  std::string Volume();

  static cri::Mount& Mount(cri::ContainerConfig& it, const std::string& source,
                           const std::string& target);

  // As Start and TryCreate, of an image.
  grpc::Status TryImage(const std::string& image,
                        const EditContainer& edit = nullptr);

  // Not a running container, with `text` in the message: an answer of the
  // runtime's, and nothing that a client would try again.
  static void ExpectRefused(const grpc::Status& status,
                            const std::string& text);

  // Lines of /proc/self/mountinfo inside.
  std::vector<std::string> MountsInside(const std::string& container);

  // The host's mounts at or below the volumes and `directory`.
  std::vector<std::string> HostMounts(const std::string& directory);

  // Of statistical races; CAISSON_RACE_TRIES raises it.
  static int Tries(int usual);

  // A pod of the mode, made when first asked for.
  const std::string& OnePod();

  void RemoveContainer(const std::string& id);

 private:
  std::vector<std::string> volumes_;
  std::string pod_;
};

// Members of a hostile layer.
Json Link(const std::string& name, const std::string& target);
Json Directory(const std::string& name);
Json File(const std::string& name, const std::string& data);

}  // namespace caisson::cri_test
