#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/cri/fields/fields_fixture.h"

// What tests of ways out of containers have in common.  Each stands for a row
// of tests/security/catalogue.md and is named after it: A3, B12.
// A test runs in both modes unless its row says else.
namespace caisson::cri_test {

enum class Mode {
  kOwnUsers,   // the default handler: the pod has a range of ids of its own
  kHostUsers,  // root in the container is root on the host
};

// A directory of the host that everybody may write to, so that only the
// runtime keeps a container from it.  Holds the file "marker" and the empty
// directory "empty"; removed by the destructor.
class Canary {
 public:
  Canary();
  Canary(const Canary&) = delete;
  Canary& operator=(const Canary&) = delete;
  ~Canary();

  const std::string& path() const { return path_; }

  // The text of its marker, known to nobody else.
  const std::string& secret() const { return secret_; }

  // Name, type, mode, owner, size, times and link of all below: equal as long
  // as nobody touched it.
  std::string Fingerprint() const;

 private:
  std::string path_;
  std::string secret_;
};

// Exchanges two names for as long as it lives, as fast as it can
// (renameat2(2), RENAME_EXCHANGE): the attacker's side of a race.
class Exchanger {
 public:
  Exchanger(const std::string& a, const std::string& b);
  Exchanger(const Exchanger&) = delete;
  Exchanger& operator=(const Exchanger&) = delete;
  // Ends it.  Which of the two has which name then is open.
  ~Exchanger();

 private:
  pid_t pid_ = -1;
};

class SecurityTest : public FieldsTest,
                     public ::testing::WithParamInterface<Mode> {
 protected:
  void SetUp() override;
  // What a container may never change has not changed: knobs of the kernel,
  // the programs of this runtime.
  void TearDown() override;

  bool OwnUsers() const { return GetParam() == Mode::kOwnUsers; }

  // A pod of the test's mode.
  std::string ModePod(const EditPod& edit = nullptr);

  // Pushes an image of busybox and caisson-probe with one more layer of
  // `members` (see tests/support/hostile_image.py), and pulls it.  Its name;
  // or the status of the pull, when that is what the test is about.
  std::string Image(const Json& members, const Json& config = Json::object());
  grpc::Status TryPull(const Json& members, const Json& config,
                       std::string* name = nullptr);

  // Runs a shell script in a container by ExecSync.
  struct Output {
    int exit_code = -1;
    std::string text;   // standard output
    std::string error;  // standard error
  };

  Output Sh(const std::string& container, const std::string& script,
            int timeout_seconds = 30);

  // Runs `command` by ExecSync: the status of the call, and what it printed.
  grpc::Status Exec(const std::string& container,
                    const std::vector<std::string>& command,
                    cri::ExecSyncResponse* response = nullptr);

  // A container created and not started; its id.
  std::string Create(const std::string& pod, const EditContainer& edit);

  // Ends a container and returns the JSON that its program printed to
  // its log, `name` of the pod's log directory.
  Json StopAndReadJson(const std::string& container, const std::string& name);

  // The JSON that a container's program has printed to its log so far.
  Json JsonOf(const std::string& name);

  // Waits until a container has written to its log.
  void AwaitLog(const std::string& name);

  // Kills the daemon and starts it again, over what it left.
  void RestartDaemon();

  // Whether `path` inside is the root of the host, or this run's directory.
  bool IsOfTheHost(const std::string& container, const std::string& path);

 private:
  std::string Knobs() const;

  std::string knobs_;
  std::string programs_;
  int image_ = 0;
};

// Instantiates a suite for both modes, named OwnUsers and HostUsers.
#define CAISSON_BOTH_MODES(suite)                                         \
  INSTANTIATE_TEST_SUITE_P(                                               \
      Modes, suite, ::testing::Values(Mode::kOwnUsers, Mode::kHostUsers), \
      [](const auto& test) {                                              \
        return test.param == Mode::kOwnUsers ? "OwnUsers" : "HostUsers";  \
      })

}  // namespace caisson::cri_test
