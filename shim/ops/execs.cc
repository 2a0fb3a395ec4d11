#include "shim/ops/execs.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/id.h"

namespace caisson::ops {

std::string Execs::Add(const std::string& pod_id, OnEnd on_end) {
  std::string id = absl::StrCat("exec-", GenerateId().substr(0, 16));
  MutexLock lock(mutex_);
  entries_[id] = {pod_id, std::move(on_end)};
  return id;
}

void Execs::Remove(const std::string& id) {
  MutexLock lock(mutex_);
  entries_.erase(id);
}

void Execs::End(const std::string& id, absl::StatusOr<int> code) {
  OnEnd on_end;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) {
      return;
    }
    on_end = std::move(found->second.on_end);
    entries_.erase(found);
  }
  on_end(std::move(code));
}

void Execs::KeepOnly(const std::string& pod_id,
                     const std::set<std::string>& running) {
  std::vector<std::string> ended;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, entry] : entries_) {
      if (entry.pod_id == pod_id && !running.contains(id)) {
        ended.push_back(id);
      }
    }
  }
  for (const std::string& id : ended) {
    End(id, absl::UnavailableError("the pod's keeper knows no such exec"));
  }
}

}  // namespace caisson::ops
