#include "tests/support/fake_cni.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "tests/support/machine.h"

namespace caisson::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry :
       ListDirectory(directory).value_or(std::vector<DirectoryEntry>())) {
    names.push_back(entry.name);
  }
  return names;
}

void SleepUntil(Deadline deadline) {
  while (!deadline.passed()) {
    absl::SleepFor(std::min(deadline.left(), absl::Milliseconds(20)));
  }
}

}  // namespace

FakeCni::FakeCni(const std::string& directory) : directory_(directory) {
  fs::create_directories(directory_ + "/addresses");
  fs::create_directories(directory_ + "/results");
}

absl::Status FakeCni::CheckReady() {
  return faults.Next("check") == Fault::kNone
             ? absl::OkStatus()
             : absl::FailedPreconditionError("no configuration");
}

// What a plugin that goes wrong answers, when it does.
absl::Status FakeCni::Fail(Fault fault, Deadline deadline, const char* verb) {
  if (fault == Fault::kNone) {
    return absl::OkStatus();
  }
  if (fault == Fault::kHang || fault == Fault::kAnswerLate) {
    SleepUntil(deadline);
    return absl::DeadlineExceededError(
        absl::StrCat("plugin fake ", verb, ": killed"));
  }
  return absl::InternalError(absl::StrCat("plugin fake ", verb, ": refused"));
}

absl::StatusOr<network::Addresses> FakeCni::Add(
    const network::Attachment& attachment, Deadline deadline) {
  const std::string address = directory_ + "/addresses/" + attachment.pod_id;
  std::ofstream(directory_ + "/results/" + attachment.pod_id)
      << attachment.netns_path;
  const Fault fault = faults.Next("add");
  if (fault != Fault::kRefuse) {
    std::ofstream(address) << "10.1.2.3";
  }
  if (const absl::Status status = Fail(fault, deadline, "ADD"); !status.ok()) {
    // In time of its own; what it leaves is for another try.
    Delete(attachment, Deadline::After(absl::Milliseconds(200))).IgnoreError();
    return status;
  }
  return network::Addresses{{"10.1.2.3"}};
}

absl::Status FakeCni::Delete(const network::Attachment& attachment,
                             Deadline deadline) {
  const Fault fault = faults.Next("delete");
  if (fault == Fault::kNone || fault == Fault::kFailAfter ||
      fault == Fault::kAnswerLate) {
    if (!attachment.netns_path.empty() &&
        access(attachment.netns_path.c_str(), F_OK) != 0) {
      ++late_deletes_;
    }
    unlink((directory_ + "/addresses/" + attachment.pod_id).c_str());
  }
  RETURN_IF_ERROR(Fail(fault, deadline, "DEL"));
  unlink((directory_ + "/results/" + attachment.pod_id).c_str());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FakeCni::CachedPods() const {
  return NamesIn(directory_ + "/results");
}

absl::StatusOr<network::Attachment> FakeCni::CachedAttachment(
    const std::string& pod_id) const {
  const std::string file = directory_ + "/results/" + pod_id;
  if (!fs::exists(file)) {
    return absl::NotFoundError(absl::StrCat("find result of ", pod_id));
  }
  network::Attachment attachment;
  attachment.pod_id = pod_id;
  attachment.netns_path = ReadFile(file);
  return attachment;
}

std::vector<std::string> FakeCni::Addresses() const {
  return NamesIn(directory_ + "/addresses");
}

}  // namespace caisson::testing
