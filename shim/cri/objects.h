#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "api/cri/v1/api.pb.h"
#include "api/keeper/v1/keeper.pb.h"
#include "api/state/v1/state.pb.h"
#include "runtime/pod/keeper.h"

namespace caisson::cri {

using StepTimes = google::protobuf::RepeatedPtrField<keeper::v1::StepTime>;

// A container in memory.  `record` changes under `mutex`; `changed` is told
// of each change.
struct Container {
  std::string id;
  std::string pod_id;
  runtime::v1::ContainerConfig config;  // constant

  std::mutex mutex;
  std::condition_variable changed;
  state::v1::ContainerRecord record;
  StepTimes steps;

  // One of start, stop and remove at a time.
  std::mutex operation;
  // When it is killed at the latest; those who wait for `operation` bring it
  // forward for the one who has it.
  std::chrono::steady_clock::time_point stop_by =
      std::chrono::steady_clock::time_point::max();
};

// A pod in memory.
struct Sandbox {
  std::string id;
  std::string handler;
  runtime::v1::PodSandboxConfig config;  // constant

  std::mutex mutex;
  state::v1::PodRecord record;
  StepTimes steps;
  // Null when stopped.  Copied out under `mutex`, called without it.
  std::shared_ptr<pod::Keeper> keeper;
  // Its end is expected.
  bool stopping = false;

  // One create, stop or remove at a time.
  std::mutex operation;
};

// A wait for the end of an exec.
struct ExecWait {
  std::mutex mutex;
  std::string pod_id;
  int exit_code = 0;
  bool keeper_gone = false;
  int event = -1;  // eventfd, borrowed
};

}  // namespace caisson::cri
