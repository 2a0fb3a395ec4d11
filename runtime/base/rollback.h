#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace caisson {

// Undoes the completed part of a failed multi-step creation.
//
// Each step that leaves something on the node adds its undo right after it
// succeeds.  Unless Commit() is called, destruction runs every undo, newest
// first, even if some of them fail; failures are logged.
class Rollback {
 public:
  using Undo = std::function<absl::Status()>;

  Rollback() = default;
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback();

  void Add(std::string what, Undo undo) {
    undos_.emplace_back(std::move(what), std::move(undo));
  }

  void Commit() { undos_.clear(); }

 private:
  std::vector<std::pair<std::string, Undo>> undos_;
};

}  // namespace caisson
