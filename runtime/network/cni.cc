#include "runtime/network/cni.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/network/configuration.h"
#include "runtime/network/invocation.h"
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
  absl::StatusOr<Addresses> Add(const Attachment& attachment) override;
  absl::Status Delete(const Attachment& attachment) override;

 private:
  absl::StatusOr<Configuration> Current();
  absl::StatusOr<std::string> Run(const Configuration& configuration,
                                  size_t index, absl::string_view command,
                                  const Attachment& attachment,
                                  const json::Value& previous) const;
  absl::Status AddAll(const Attachment& attachment, CachedAdd& add,
                      size_t& tried) const;
  absl::Status DeleteFrom(const Attachment& attachment, const CachedAdd& add,
                          size_t count) const;
  absl::StatusOr<std::optional<CachedAdd>> FindAdd(
      const Attachment& attachment);

  const Options options_;
  std::mutex mutex_;
  std::string signature_;
  absl::StatusOr<Configuration> configuration_ =
      absl::NotFoundError("network configuration: not read yet");
};

absl::StatusOr<Configuration> PluginNetwork::Current() {
  ASSIGN_OR_RETURN(const std::string signature,
                   ReadSignature(options_.conf_dir));
  std::lock_guard<std::mutex> lock(mutex_);
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

absl::StatusOr<std::string> PluginNetwork::Run(
    const Configuration& configuration, size_t index, absl::string_view command,
    const Attachment& attachment, const json::Value& previous) const {
  ASSIGN_OR_RETURN(const std::string type,
                   json::GetString(configuration.plugins[index], "type"));
  kernel::Command run;
  ASSIGN_OR_RETURN(run.program, FindPlugin(options_.bin_dirs, type));
  run.environment = MakeEnvironment(attachment, command, options_.bin_dirs);
  run.input = MakeInput(configuration, index, attachment, previous);
  run.timeout = options_.timeout;
  absl::StatusOr<std::string> output = RunPlugin(run);
  if (!output.ok()) {
    return Annotate(output.status(),
                    absl::StrCat("network ", configuration.name, ": plugin ",
                                 type, ": ", command));
  }
  return output;
}

absl::Status PluginNetwork::AddAll(const Attachment& attachment, CachedAdd& add,
                                   size_t& tried) const {
  json::Value previous;
  for (tried = 0; tried < add.configuration.plugins.size();) {
    const size_t index = tried++;
    ASSIGN_OR_RETURN(const std::string text, Run(add.configuration, index,
                                                 "ADD", attachment, previous));
    ASSIGN_OR_RETURN(previous, json::Parse(text, "result of a network plugin"));
    if (!previous.is_object()) {
      return absl::InternalError("network plugin: result is not an object");
    }
  }
  add.result = std::move(previous);
  return absl::OkStatus();
}

absl::Status PluginNetwork::DeleteFrom(const Attachment& attachment,
                                       const CachedAdd& add,
                                       size_t count) const {
  // Before 0.4.0 plugins knew no result in DEL.
  const bool with_result = !absl::StartsWith(add.configuration.version, "0.3");
  const json::Value previous = with_result ? add.result : json::Value();
  absl::Status result;
  // All of them, even after a failure: each frees what is its own.
  while (count > 0) {
    result.Update(
        Run(add.configuration, --count, "DEL", attachment, previous).status());
  }
  return result;
}

absl::StatusOr<Addresses> PluginNetwork::Add(const Attachment& attachment) {
  RETURN_IF_ERROR(CheckAttachment(attachment));
  CachedAdd add;
  ASSIGN_OR_RETURN(add.configuration, Current());
  // Before the first plugin: a crash from here on leaves a trace for DEL.
  RETURN_IF_ERROR(WriteCache(options_.cache_dir, attachment.pod_id, add));
  size_t tried = 0;
  absl::Status status = AddAll(attachment, add, tried);
  absl::StatusOr<Addresses> addresses = Addresses();
  if (status.ok()) {
    addresses = ReadAddresses(add.result, attachment.interface);
    status = addresses.status();
  }
  if (status.ok()) {
    status = WriteCache(options_.cache_dir, attachment.pod_id, add);
  }
  if (status.ok()) {
    return addresses;
  }
  const absl::Status undone = DeleteFrom(attachment, add, tried);
  if (undone.ok()) {
    (void)RemoveCache(options_.cache_dir, attachment.pod_id);
    return status;
  }
  return absl::Status(
      status.code(),
      absl::StrCat(status.message(), "; and undoing it: ", undone.message()));
}

// What there is to delete; nothing when neither a record nor a namespace
// says that there ever was something.
absl::StatusOr<std::optional<CachedAdd>> PluginNetwork::FindAdd(
    const Attachment& attachment) {
  absl::StatusOr<CachedAdd> cached =
      ReadCache(options_.cache_dir, attachment.pod_id);
  if (cached.ok()) {
    return std::optional<CachedAdd>(*std::move(cached));
  }
  if (attachment.netns_path.empty() && absl::IsNotFound(cached.status())) {
    return std::optional<CachedAdd>();
  }
  CachedAdd add;
  absl::StatusOr<Configuration> current = Current();
  if (!current.ok()) {
    // No configuration and no record: no plugin of ours made anything.
    if (absl::IsNotFound(cached.status())) {
      return std::optional<CachedAdd>();
    }
    return current.status();
  }
  add.configuration = *std::move(current);
  return std::optional<CachedAdd>(std::move(add));
}

absl::Status PluginNetwork::Delete(const Attachment& attachment) {
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
  RETURN_IF_ERROR(DeleteFrom(present, *add, add->configuration.plugins.size()));
  return RemoveCache(options_.cache_dir, attachment.pod_id);
}

}  // namespace

std::unique_ptr<Cni> Cni::Create(Options options) {
  return std::make_unique<PluginNetwork>(std::move(options));
}

}  // namespace caisson::network
