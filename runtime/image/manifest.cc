#include "runtime/image/manifest.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "runtime/image/sha256.h"

namespace caisson::image {
namespace {

#if defined(__x86_64__)
constexpr char kArchitecture[] = "amd64";
#elif defined(__aarch64__)
constexpr char kArchitecture[] = "arm64";
#endif

absl::Status Bad(absl::string_view what, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("read ", what, ": ", why));
}

absl::StatusOr<std::string> ReadDigest(const json::Value& object,
                                       absl::string_view what) {
  ASSIGN_OR_RETURN(std::string digest, json::GetString(object, "digest"));
  if (!IsSha256Digest(digest)) {
    return Bad(what, absl::StrCat("digest \"", digest, "\""));
  }
  return digest;
}

absl::StatusOr<uint64_t> ReadSize(const json::Value& object,
                                  absl::string_view what) {
  ASSIGN_OR_RETURN(const int64_t size, json::GetInt(object, "size"));
  if (size < 0) {
    return Bad(what, absl::StrCat("size ", size));
  }
  return static_cast<uint64_t>(size);
}

absl::StatusOr<Compression> CompressionOf(absl::string_view type) {
  if (absl::EndsWith(type, "gzip")) {
    return Compression::kGzip;
  }
  if (absl::EndsWith(type, "+zstd")) {
    return Compression::kZstd;
  }
  if (absl::EndsWith(type, ".tar")) {
    return Compression::kNone;
  }
  return Bad("layer", absl::StrCat("media type \"", type, "\""));
}

absl::StatusOr<Manifest> ChoosePlatform(const json::Value& manifests) {
  if (!manifests.is_array()) {
    return Bad("index", "manifests is not an array");
  }
  for (const json::Value& entry : manifests) {
    const json::Value* platform = json::Find(entry, "platform");
    if (platform == nullptr) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::string os, json::GetString(*platform, "os"));
    ASSIGN_OR_RETURN(const std::string architecture,
                     json::GetString(*platform, "architecture"));
    if (os == "linux" && architecture == kArchitecture) {
      Manifest manifest;
      ASSIGN_OR_RETURN(manifest.platform_manifest,
                       ReadDigest(entry, "index entry"));
      return manifest;
    }
  }
  return absl::NotFoundError(
      absl::StrCat("read index: no image for linux/", kArchitecture));
}

absl::Status ReadLayers(const json::Value& layers, Manifest& manifest) {
  if (!layers.is_array() || layers.size() > kMaxLayers) {
    return Bad("manifest", "layers is not an array of at most 512");
  }
  for (const json::Value& entry : layers) {
    LayerDescriptor layer;
    ASSIGN_OR_RETURN(layer.digest, ReadDigest(entry, "layer"));
    ASSIGN_OR_RETURN(layer.size, ReadSize(entry, "layer"));
    ASSIGN_OR_RETURN(const std::string type,
                     json::GetString(entry, "mediaType"));
    ASSIGN_OR_RETURN(layer.compression, CompressionOf(type));
    manifest.layers.push_back(std::move(layer));
  }
  return absl::OkStatus();
}

// An image whose programs can't run here is refused when it is pulled, not
// when its first container fails with "exec format error".
absl::Status CheckPlatform(const json::Value& config) {
  ASSIGN_OR_RETURN(const std::string os, json::GetString(config, "os"));
  ASSIGN_OR_RETURN(const std::string architecture,
                   json::GetString(config, "architecture"));
  if ((!os.empty() && os != "linux") ||
      (!architecture.empty() && architecture != kArchitecture)) {
    return Bad("image config", absl::StrCat("it is for ", os, "/", architecture,
                                            ", not linux/", kArchitecture));
  }
  return absl::OkStatus();
}

absl::Status CheckWord(absl::string_view member, const std::string& word) {
  return word.size() <= kMaxWordBytes
             ? absl::OkStatus()
             : Bad("image config",
                   absl::StrCat(member, " has ", word.size(),
                                " bytes, more than ", kMaxWordBytes));
}

// Adds to `total` what execve(2) counts.
absl::Status CheckStrings(absl::string_view member,
                          const std::vector<std::string>& strings,
                          size_t& total) {
  for (const std::string& text : strings) {
    if (text.size() >= kMaxStringBytes) {
      return Bad("image config",
                 absl::StrCat(member, " has a string of ", text.size(),
                              " bytes; no program can be given more than ",
                              kMaxStringBytes - 1));
    }
    total += text.size() + 1 + sizeof(char*);
  }
  return total <= kMaxProcessBytes
             ? absl::OkStatus()
             : Bad("image config",
                   absl::StrCat(member, " makes its strings more than the ",
                                kMaxProcessBytes,
                                " bytes that a program can be given"));
}

absl::Status CheckSizes(const ImageConfig& config) {
  RETURN_IF_ERROR(CheckWord("User", config.user));
  RETURN_IF_ERROR(CheckWord("WorkingDir", config.working_dir));
  RETURN_IF_ERROR(CheckWord("StopSignal", config.stop_signal));
  size_t total = 0;
  RETURN_IF_ERROR(CheckStrings("Entrypoint", config.entrypoint, total));
  RETURN_IF_ERROR(CheckStrings("Cmd", config.command, total));
  RETURN_IF_ERROR(CheckStrings("Env", config.env, total));
  if (config.volumes.size() > kMaxVolumes) {
    return Bad("image config",
               absl::StrCat("Volumes has ", config.volumes.size(),
                            " paths, more than ", kMaxVolumes));
  }
  return absl::OkStatus();
}

absl::Status ReadProcess(const json::Value& config, ImageConfig& out) {
  ASSIGN_OR_RETURN(out.user, json::GetString(config, "User"));
  ASSIGN_OR_RETURN(out.env, json::GetStrings(config, "Env"));
  ASSIGN_OR_RETURN(out.entrypoint, json::GetStrings(config, "Entrypoint"));
  ASSIGN_OR_RETURN(out.command, json::GetStrings(config, "Cmd"));
  ASSIGN_OR_RETURN(out.working_dir, json::GetString(config, "WorkingDir"));
  ASSIGN_OR_RETURN(out.stop_signal, json::GetString(config, "StopSignal"));
  if (const json::Value* volumes = json::Find(config, "Volumes");
      volumes != nullptr && volumes->is_object()) {
    for (const auto& [path, unused] : volumes->items()) {
      out.volumes.push_back(path);
    }
  }
  return CheckSizes(out);
}

}  // namespace

absl::StatusOr<Manifest> ParseManifest(absl::string_view text) {
  if (text.size() > kMaxManifestBytes) {
    return Bad("manifest", "larger than 4 MiB");
  }
  ASSIGN_OR_RETURN(const json::Value root, json::Parse(text, "manifest"));
  const json::Value* manifests = json::Find(root, "manifests");
  const json::Value* layers = json::Find(root, "layers");
  if ((manifests != nullptr) == (layers != nullptr)) {
    return Bad("manifest", "it must have either manifests or layers");
  }
  if (manifests != nullptr) {
    return ChoosePlatform(*manifests);
  }
  const json::Value* config = json::Find(root, "config");
  if (config == nullptr) {
    return Bad("manifest", "no config");
  }
  Manifest manifest;
  ASSIGN_OR_RETURN(manifest.config_digest, ReadDigest(*config, "config"));
  ASSIGN_OR_RETURN(manifest.config_size, ReadSize(*config, "config"));
  RETURN_IF_ERROR(ReadLayers(*layers, manifest));
  return manifest;
}

absl::StatusOr<ParsedConfig> ParseConfig(absl::string_view text) {
  if (text.size() > kMaxConfigBytes) {
    return Bad("image config", "larger than 8 MiB");
  }
  ASSIGN_OR_RETURN(const json::Value root, json::Parse(text, "image config"));
  RETURN_IF_ERROR(CheckPlatform(root));
  ParsedConfig parsed;
  parsed.config.json = std::string(text);
  const json::Value* rootfs = json::Find(root, "rootfs");
  if (rootfs == nullptr) {
    return Bad("image config", "no rootfs");
  }
  ASSIGN_OR_RETURN(parsed.diff_ids, json::GetStrings(*rootfs, "diff_ids"));
  if (parsed.diff_ids.size() > kMaxLayers) {
    return Bad("image config", "diff_ids is not an array of at most 512");
  }
  for (const std::string& id : parsed.diff_ids) {
    if (!IsSha256Digest(id)) {
      return Bad("image config", absl::StrCat("diff_id \"", id, "\""));
    }
  }
  const json::Value* config = json::Find(root, "config");
  if (config == nullptr) {
    return parsed;
  }
  RETURN_IF_ERROR(ReadProcess(*config, parsed.config));
  return parsed;
}

}  // namespace caisson::image
