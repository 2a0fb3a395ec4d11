#include "runtime/network/cni.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "runtime/network/configuration.h"
#include "runtime/network/invocation.h"
#include "runtime/network/leftovers.h"
#include "runtime/network/plugin.h"
#include "runtime/network/result_cache.h"

namespace caisson::network {
namespace {

// A file whose mount is gone (a reboot, a crash half way) is no namespace:
// plugins would fail on it for ever.
bool IsPinned(const std::string& path) {
  struct statfs info;
  return statfs(path.c_str(), &info) == 0 && info.f_type == NSFS_MAGIC;
}

class PluginNetwork : public Cni {
 public:
  explicit PluginNetwork(Options options) : options_(std::move(options)) {}

  absl::Status CheckReady() override;
  absl::StatusOr<Addresses> Add(const Attachment& attachment,
                                Deadline deadline) override;
  absl::Status Delete(const Attachment& attachment, Deadline deadline) override;

  absl::StatusOr<std::vector<std::string>> CachedPods() const override {
    return ListCache(options_.cache_dir);
  }

  absl::StatusOr<Attachment> CachedAttachment(
      const std::string& pod_id) const override;

 private:
  // One run of a plugin.
  struct Call {
    absl::string_view command;
    Deadline deadline;
    json::Value previous;
  };

  absl::StatusOr<Configuration> Current();
  absl::StatusOr<std::string> Run(const CachedAdd& add, size_t index,
                                  const Call& call) const;
  absl::Status AddAll(CachedAdd& add, Deadline deadline, size_t& tried) const;
  absl::Status DeleteFrom(const CachedAdd& add, size_t count,
                          Deadline deadline) const;
  absl::Status Undo(const CachedAdd& add, size_t count) const;
  absl::StatusOr<std::optional<CachedAdd>> FindAdd(
      const Attachment& attachment);

  const Options options_;
  Mutex mutex_;
  std::string signature_ ABSL_GUARDED_BY(mutex_);
  absl::StatusOr<Configuration> configuration_ ABSL_GUARDED_BY(mutex_) =
      absl::NotFoundError("network configuration: not read yet");
};

absl::StatusOr<Configuration> PluginNetwork::Current() {
  ASSIGN_OR_RETURN(const std::string signature,
                   ReadSignature(options_.conf_dir));
  const MutexLock lock(mutex_);
  if (signature != signature_) {
    configuration_ = LoadConfiguration(options_.conf_dir);
    signature_ = signature;
  }
  return configuration_;
}

absl::Status PluginNetwork::CheckReady() {
  ASSIGN_OR_RETURN(const Configuration configuration, Current());
  for (const json::Value& plugin : configuration.plugins) {
    ASSIGN_OR_RETURN(const std::string type, json::GetString(plugin, "type"));
    RETURN_IF_ERROR(FindPlugin(options_.bin_dirs, type).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> PluginNetwork::Run(const CachedAdd& add,
                                               size_t index,
                                               const Call& call) const {
  const Configuration& configuration = add.configuration;
  ASSIGN_OR_RETURN(const std::string type,
                   json::GetString(configuration.plugins[index], "type"));
  const std::string what = absl::StrCat("network ", configuration.name,
                                        ": plugin ", type, ": ", call.command);
  if (call.deadline.passed()) {
    return absl::DeadlineExceededError(
        absl::StrCat(what, ": not begun, the time is over"));
  }
  kernel::Command run;
  ASSIGN_OR_RETURN(run.program, FindPlugin(options_.bin_dirs, type));
  run.environment =
      MakeEnvironment(add.attachment, call.command, options_.bin_dirs);
  run.input = MakeInput(configuration, index, add.attachment, call.previous);
  run.deadline =
      Deadline::Earlier(call.deadline, Deadline::After(options_.timeout));
  absl::StatusOr<std::string> output = RunPlugin(run);
  if (!output.ok()) {
    return Annotate(output.status(), what);
  }
  return output;
}

absl::Status PluginNetwork::AddAll(CachedAdd& add, Deadline deadline,
                                   size_t& tried) const {
  Call call = {"ADD", deadline, json::Value()};
  for (tried = 0; tried < add.configuration.plugins.size();) {
    ASSIGN_OR_RETURN(const std::string text, Run(add, tried++, call));
    ASSIGN_OR_RETURN(call.previous,
                     json::Parse(text, "result of a network plugin"));
    if (!call.previous.is_object()) {
      return absl::InternalError("network plugin: result is not an object");
    }
  }
  add.result = std::move(call.previous);
  return absl::OkStatus();
}

absl::Status PluginNetwork::DeleteFrom(const CachedAdd& add, size_t count,
                                       Deadline deadline) const {
  Call call = {"DEL", deadline, json::Value()};
  // Before 0.4.0 plugins knew no result in DEL.
  if (!absl::StartsWith(add.configuration.version, "0.3")) {
    call.previous = add.result;
  }
  absl::Status result;
  // All of them, even after a failure: each frees what is its own.
  while (count > 0) {
    result.Update(Run(add, --count, call).status());
  }
  return result;
}

absl::StatusOr<Addresses> PluginNetwork::Add(const Attachment& attachment,
                                             Deadline deadline) {
  RETURN_IF_ERROR(CheckAttachment(attachment));
  CachedAdd add;
  add.attachment = attachment;
  ASSIGN_OR_RETURN(add.configuration, Current());
  // Before the first plugin: a crash from here on leaves a trace for DEL.
  RETURN_IF_ERROR(WriteCache(options_.cache_dir, add));
  size_t tried = 0;
  absl::Status status = AddAll(add, deadline, tried);
  absl::StatusOr<Addresses> addresses = Addresses();
  if (status.ok()) {
    addresses = ReadAddresses(add.result, attachment.interface);
    status = addresses.status();
  }
  if (status.ok()) {
    status = WriteCache(options_.cache_dir, add);
  }
  if (status.ok()) {
    return addresses;
  }
  // Whoever waited may be gone: what was made has to go all the same.
  const absl::Status undone = Undo(add, tried);
  if (undone.ok()) {
    (void)RemoveCache(options_.cache_dir, attachment.pod_id);
    return status;
  }
  return absl::Status(
      status.code(),
      absl::StrCat(status.message(), "; and undoing it: ", undone.message()));
}

absl::Status PluginNetwork::Undo(const CachedAdd& add, size_t count) const {
  // What left its process group outlives a plugin that was killed.
  absl::Status status =
      EndLeftovers(add.attachment.pod_id, Deadline::After(options_.timeout));
  status.Update(DeleteFrom(add, count, Deadline::Never()));
  return status;
}

// What there is to delete, for `attachment`; nothing when there is neither a
// trace nor a configuration.
absl::StatusOr<std::optional<CachedAdd>> PluginNetwork::FindAdd(
    const Attachment& attachment) {
  absl::StatusOr<CachedAdd> add =
      ReadOrMendCache(options_.cache_dir, attachment);
  const bool has_trace = add.ok();
  if (absl::IsNotFound(add.status())) {
    add = CachedAdd();
  }
  RETURN_IF_ERROR(add.status());
  add->attachment = attachment;
  if (add->configuration.plugins.empty()) {
    absl::StatusOr<Configuration> current = Current();
    if (!has_trace && absl::IsNotFound(current.status())) {
      return std::optional<CachedAdd>();
    }
    RETURN_IF_ERROR(current.status());
    add->configuration = *std::move(current);
  }
  return std::optional<CachedAdd>(*std::move(add));
}

absl::Status PluginNetwork::Delete(const Attachment& attachment,
                                   Deadline deadline) {
  RETURN_IF_ERROR(CheckAttachment(attachment));
  Attachment present = attachment;
  // The specification's word for a namespace that is gone.
  if (!IsPinned(present.netns_path)) {
    present.netns_path.clear();
  }
  ASSIGN_OR_RETURN(const std::optional<CachedAdd> add, FindAdd(present));
  if (!add.has_value()) {
    return absl::OkStatus();
  }
  // ADD did not finish: it may run yet, if the daemon died in it.
  if (add->result.is_null()) {
    RETURN_IF_ERROR(EndLeftovers(attachment.pod_id, deadline));
  }
  RETURN_IF_ERROR(
      DeleteFrom(*add, add->configuration.plugins.size(), deadline));
  return RemoveCache(options_.cache_dir, attachment.pod_id);
}

absl::StatusOr<Attachment> PluginNetwork::CachedAttachment(
    const std::string& pod_id) const {
  Attachment attachment;
  attachment.pod_id = pod_id;
  RETURN_IF_ERROR(CheckAttachment(attachment));
  ASSIGN_OR_RETURN(CachedAdd add,
                   ReadOrMendCache(options_.cache_dir, attachment));
  return std::move(add.attachment);
}

}  // namespace

std::unique_ptr<Cni> Cni::Create(Options options) {
  return std::make_unique<PluginNetwork>(std::move(options));
}

}  // namespace caisson::network
