#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/image/image_store.h"
#include "runtime/image/inflate.h"

// OCI image manifests and indexes, and their Docker twins (schema 2).
namespace caisson::image {

inline constexpr size_t kMaxManifestBytes = 4 << 20;
inline constexpr size_t kMaxConfigBytes = 8 << 20;
inline constexpr size_t kMaxLayers = 512;

// What a process can be given at all (execve(2), "Limits on size of arguments
// and environment"): one string, and all strings with their pointers.  The
// second is three quarters of the default stack limit, whatever it is set to.
inline constexpr size_t kMaxStringBytes = 128 << 10;
inline constexpr size_t kMaxProcessBytes = 6 << 20;
// Each volume is a directory, or a mount, of every container: thirty times as
// many as images of the wild declare.
inline constexpr size_t kMaxVolumes = 1024;
// A path (PATH_MAX), also what names a user or a signal.
inline constexpr size_t kMaxWordBytes = 4095;

// For the Accept header of a request for a manifest.
inline constexpr char kManifestTypes[] =
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

struct LayerDescriptor {
  std::string digest;
  uint64_t size = 0;  // bytes, compressed
  Compression compression = Compression::kNone;
};

struct Manifest {
  // An index: the manifest for this machine; nothing else is set then.
  std::string platform_manifest;

  std::string config_digest;
  uint64_t config_size = 0;
  std::vector<LayerDescriptor> layers;  // lowest first
};

// InvalidArgument names what is wrong; NotFound: an index without an image
// for this machine.  A text that is both manifest and index is refused
// (CVE-2021-41190).
absl::StatusOr<Manifest> ParseManifest(absl::string_view json);

struct ParsedConfig {
  ImageConfig config;
  std::vector<std::string> diff_ids;  // lowest first
};

// InvalidArgument names the member that is wrong, or larger than what the
// constants above say.  Linear in the size of the text.
absl::StatusOr<ParsedConfig> ParseConfig(absl::string_view json);

}  // namespace caisson::image
