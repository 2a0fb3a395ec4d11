#include "runtime/puller/pull.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/base/deadline.h"
#include "runtime/base/frame.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "runtime/image/layer_convert.h"
#include "runtime/image/manifest.h"
#include "runtime/image/sha256.h"
#include "runtime/puller/http.h"
#include "runtime/puller/registry_client.h"

namespace caisson::puller {
namespace {

constexpr absl::Duration kBeat = absl::Seconds(1);

// The conversation with caissond, which one thread holds at a time.
class Conversation {
 public:
  explicit Conversation(int socket) : socket_(socket) {}

  absl::Status Send(const v1::FromPuller& message) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return SendFrame(socket_, message.SerializeAsString(), {});
  }

  // The file for a layer; none when caissond wants no more of it.
  absl::StatusOr<UniqueFd> OpenLayer(const std::string& diff_id) {
    v1::FromPuller message;
    message.mutable_open_layer()->set_diff_id(diff_id);
    const std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(SendFrame(socket_, message.SerializeAsString(), {}));
    ASSIGN_OR_RETURN(Frame frame, ReceiveFrame(socket_));
    return frame.fds.empty() ? UniqueFd() : std::move(frame.fds[0]);
  }

 private:
  const int socket_;
  std::mutex mutex_;
};

// Tells caissond that something came, as long as it does: it ends a pull that
// gets nothing.
class Heart {
 public:
  explicit Heart(Conversation& conversation)
      : conversation_(conversation), thread_([this] { Beat(); }) {}

  Heart(const Heart&) = delete;
  Heart& operator=(const Heart&) = delete;

  ~Heart() {
    {
      const MutexLock lock(mutex_);
      stopped_ = true;
      changed_.NotifyAll();
    }
    thread_.join();
  }

 private:
  void Beat() {
    uint64_t told = 0;
    while (!StoppedWithin(kBeat)) {
      if (const uint64_t now = HttpStream::Activity(); now != told) {
        told = now;
        v1::FromPuller message;
        message.mutable_progress();
        // The end of the conversation is seen by whoever reads from it.
        conversation_.Send(message).IgnoreError();
      }
    }
  }

  bool StoppedWithin(absl::Duration time) {
    const Deadline deadline = Deadline::After(time);
    const MutexLock lock(mutex_);
    while (!stopped_ && !deadline.passed()) {
      changed_.WaitUntil(mutex_, deadline);
    }
    return stopped_;
  }

  Conversation& conversation_;
  Mutex mutex_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

struct Layer {
  image::LayerDescriptor descriptor;
  std::string diff_id;
};

void FillUserFile(const image::UserFile& from, v1::UserFile& to) {
  to.set_present(from.content.has_value());
  to.set_content(from.content.value_or(""));
  to.set_removed(from.removed);
}

absl::Status FetchLayer(const Layer& layer, RegistryClient& client,
                        Conversation& conversation) {
  ASSIGN_OR_RETURN(const UniqueFd file, conversation.OpenLayer(layer.diff_id));
  if (!file.ok()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::unique_ptr<image::ByteSource> blob,
                   client.OpenBlob(layer.descriptor.digest));
  ASSIGN_OR_RETURN(
      image::LayerResult result,
      image::ConvertLayer(*blob, layer.descriptor.compression, file.get(), {}));
  if (result.diff_id != layer.diff_id) {
    return absl::DataLossError(absl::StrCat(
        "check layer ", layer.descriptor.digest, ": its content has digest ",
        result.diff_id, ", not ", layer.diff_id));
  }
  v1::FromPuller message;
  v1::LayerDone& done = *message.mutable_layer_done();
  done.set_diff_id(result.diff_id);
  done.set_file_bytes(result.file_bytes);
  done.set_highest_id(result.highest_id);
  FillUserFile(result.passwd, *done.mutable_passwd());
  FillUserFile(result.group, *done.mutable_group());
  done.mutable_notes()->Assign(result.notes.begin(), result.notes.end());
  return conversation.Send(message);
}

// Fetches the layers with several threads; the first failure stops all.
absl::Status FetchLayers(const std::vector<Layer>& layers, size_t parallel,
                         RegistryClient& client, Conversation& conversation) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  absl::Status status;
  const auto work = [&] {
    for (size_t i = next++; i < layers.size(); i = next++) {
      absl::Status fetched = FetchLayer(layers[i], client, conversation);
      if (!fetched.ok()) {
        const std::lock_guard<std::mutex> lock(mutex);
        status.Update(fetched);
        next = layers.size();
      }
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(parallel, layers.size()); ++i) {
    threads.emplace_back(work);
  }
  work();
  for (std::thread& thread : threads) {
    thread.join();
  }
  return status;
}

absl::StatusOr<image::Manifest> FetchManifest(const v1::PullRequest& request,
                                              RegistryClient& client,
                                              v1::Resolved& resolved) {
  ASSIGN_OR_RETURN(RegistryClient::ManifestText text,
                   client.GetManifest(request.reference()));
  resolved.set_digest(text.digest);
  ASSIGN_OR_RETURN(image::Manifest manifest, image::ParseManifest(text.json));
  if (!manifest.platform_manifest.empty()) {
    ASSIGN_OR_RETURN(text, client.GetManifest(manifest.platform_manifest));
    ASSIGN_OR_RETURN(manifest, image::ParseManifest(text.json));
    if (!manifest.platform_manifest.empty()) {
      return absl::InvalidArgumentError("read index: an index in an index");
    }
  }
  return manifest;
}

absl::StatusOr<std::vector<Layer>> LayersToFetch(
    const v1::PullRequest& request, const image::Manifest& manifest,
    const image::ParsedConfig& config) {
  if (config.diff_ids.size() != manifest.layers.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("read image config: ", config.diff_ids.size(),
                     " diff_ids for ", manifest.layers.size(), " layers"));
  }
  std::set<std::string> known(request.known_layers().begin(),
                              request.known_layers().end());
  std::vector<Layer> layers;
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    if (known.insert(config.diff_ids[i]).second) {
      layers.push_back({manifest.layers[i], config.diff_ids[i]});
    }
  }
  return layers;
}

absl::Status FetchImage(const v1::PullRequest& request,
                        Conversation& conversation) {
  const Heart heart(conversation);
  RegistryClient client(request);
  v1::FromPuller message;
  v1::Resolved& resolved = *message.mutable_resolved();
  ASSIGN_OR_RETURN(const image::Manifest manifest,
                   FetchManifest(request, client, resolved));
  if (manifest.config_size > image::kMaxConfigBytes) {
    return absl::ResourceExhaustedError("read manifest: config too large");
  }
  ASSIGN_OR_RETURN(
      const std::string config_text,
      client.GetBlob(manifest.config_digest, image::kMaxConfigBytes));
  ASSIGN_OR_RETURN(const image::ParsedConfig config,
                   image::ParseConfig(config_text));
  resolved.set_config_digest(manifest.config_digest);
  resolved.set_config(config_text);
  RETURN_IF_ERROR(conversation.Send(message));
  ASSIGN_OR_RETURN(const std::vector<Layer> layers,
                   LayersToFetch(request, manifest, config));
  return FetchLayers(layers, request.parallel_layers(), client, conversation);
}

}  // namespace

absl::Status Pull(const v1::PullRequest& request, int socket) {
  Conversation conversation(socket);
  RETURN_IF_ERROR(FetchImage(request, conversation));
  v1::FromPuller message;
  message.mutable_finished();
  return conversation.Send(message);
}

}  // namespace caisson::puller
