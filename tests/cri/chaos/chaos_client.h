#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/cri/fixture/cri_client.h"

namespace caisson::cri_test {

// One client of a daemon that is killed again and again.  It knows of each of
// its pods and containers what must be true, whatever answers were lost: what
// it was told once stays so, and a call that it repeats does once what it says.
// What is otherwise is a complaint.  One thread.
class ChaosClient {
 public:
  struct Options {
    int number = 0;  // among the clients
    uint64_t seed = 0;
    std::string socket_path;
    std::string directory;  // CAISSON_TEST_DIR
  };

  explicit ChaosClient(const Options& options);

  // Lives until `over`; leaves pods and containers in all states.
  void Live(const std::atomic<bool>& over);

  // Compares what is listed with what it knows, all ids of all clients being
  // in `pods` and `containers`.
  void Check(const std::vector<cri::PodSandbox>& pods,
             const std::vector<cri::Container>& containers);

  // Ends and removes all that is its own.
  void RemoveAll();

  const std::vector<std::string>& complaints() const { return complaints_; }

  // How many calls were answered, and how many answers were lost.
  size_t answers() const { return answers_; }

  size_t losses() const { return losses_; }

 private:
  struct Container {
    std::string id;
    std::string name;
    bool started = false;
    bool stopped = false;  // by StopContainer
    int exit_code = -1;    // it ends by itself; -1: it does not
  };

  struct Pod {
    cri::RunPodSandboxRequest request;
    std::string id;
    bool stopped = false;
    std::vector<Container> containers;
  };

  // Repeats `call` until it is answered by OK, or by something other than
  // what a daemon that ends says; that answer.  `lost`: whether an answer
  // before it was lost.
  grpc::Status Repeat(const std::string& what,
                      const std::function<grpc::Status()>& call, bool* lost);
  // Repeats it until it is OK; anything else is a complaint.
  bool Must(const std::string& what, const std::function<grpc::Status()>& call);
  void Complain(const std::string& what, const std::string& why);

  void RunPod();
  void CreateContainer(Pod& pod);
  void StartContainer(Container& container);
  void Exec(const Container& container);
  void StopContainer(Container& container);
  void RemoveContainer(Pod& pod, size_t index);
  void RemovePod(size_t index);
  void DoSomething(Pod& pod, size_t index);
  void CheckLists();
  void CheckPod(const Pod& pod, const std::vector<cri::PodSandbox>& pods,
                const std::vector<cri::Container>& containers);
  // Awaits the end of one that ends by itself, and compares its exit code.
  void CheckContainer(const Pod& pod, const Container& container);
  // The id of the ready pod that has the request's name; empty: none.
  std::string FindReady(const cri::RunPodSandboxRequest& request);
  std::string FindContainer(const std::string& pod, const std::string& name);

  int Random(int below) {
    return static_cast<int>(random_() % static_cast<uint64_t>(below));
  }

  const Options options_;
  CriClient client_;
  std::mt19937_64 random_;
  int last_ = 0;  // of names
  std::vector<Pod> pods_;
  std::set<std::string> removed_;  // ids that may never be seen again
  std::vector<std::string> complaints_;
  size_t answers_ = 0;
  size_t losses_ = 0;
};

}  // namespace caisson::cri_test
