#include "runtime/device/spec.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/device/edits.h"
#include "runtime/device/name.h"
#include "runtime/device/spec_reader.h"
#include "runtime/device/yaml.h"

namespace caisson::device {
namespace {

constexpr size_t kMostDevices = 4096;
// As Kubernetes bounds its own.
constexpr size_t kMostAnnotationBytes = 256 << 10;
constexpr size_t kLongestKey = 317;

// In the order of Version.
constexpr absl::string_view kVersions[] = {"0.3.0", "0.4.0", "0.5.0", "0.6.0",
                                           "0.7.0", "0.8.0", "1.0.0", "1.1.0"};

template <typename Item>
void AppendAll(const std::vector<Item>& from, std::vector<Item>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

absl::StatusOr<Version> ReadVersion(const json::Value& value,
                                    absl::string_view file) {
  const SpecReader reader(value, file, "", k030);
  ASSIGN_OR_RETURN(const std::string text, reader.Text("cdiVersion"));
  const auto found =
      std::find(std::begin(kVersions), std::end(kVersions), text);
  if (found == std::end(kVersions)) {
    return reader.Bad("cdiVersion",
                      absl::StrCat("\"", absl::CHexEscape(text.substr(0, 32)),
                                   "\" is not a version in 0.3.0..1.1.0"));
  }
  return static_cast<Version>(found - std::begin(kVersions));
}

// A key as Kubernetes has them, and texts of a bounded size.
absl::Status CheckAnnotations(const SpecReader& reader) {
  const json::Value* annotations = reader.Find("annotations");
  if (annotations == nullptr) {
    return absl::OkStatus();
  }
  if (!annotations->is_object()) {
    return reader.Bad("annotations", "is not an object");
  }
  size_t bytes = 0;
  for (const auto& [key, value] : annotations->items()) {
    const bool plain = std::all_of(key.begin(), key.end(), [](unsigned char c) {
      return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' ||
             c == '/';
    });
    if (!plain || key.empty() || key.size() > kLongestKey ||
        std::count(key.begin(), key.end(), '/') > 1 || key.front() == '/' ||
        key.back() == '/') {
      return reader.Bad("annotations",
                        absl::StrCat("\"", absl::CHexEscape(key.substr(0, 64)),
                                     "\" is not an annotation's key"));
    }
    if (!value.is_string()) {
      return reader.Bad("annotations",
                        absl::StrCat("\"", key, "\" is not a string"));
    }
    bytes += key.size() + value.get_ref<const std::string&>().size();
  }
  return bytes <= kMostAnnotationBytes
             ? absl::OkStatus()
             : reader.Bad("annotations", "are larger than 256 KiB");
}

absl::StatusOr<Device> ReadDevice(const SpecReader& reader) {
  RETURN_IF_ERROR(reader.CheckFields(
      {{"name"}, {"annotations", k060}, {"containerEdits"}}));
  RETURN_IF_ERROR(CheckAnnotations(reader));
  Device device;
  ASSIGN_OR_RETURN(device.name, reader.Text("name"));
  if (!IsDevice(device.name)) {
    return reader.Bad(
        "name", absl::StrCat("\"", absl::CHexEscape(device.name.substr(0, 64)),
                             "\" is not a device's name"));
  }
  if (reader.version() < k050 &&
      absl::ascii_isdigit(static_cast<unsigned char>(device.name[0]))) {
    return reader.Bad("name",
                      "begins with a digit, which cdiVersion 0.5.0 "
                      "allowed first");
  }
  ASSIGN_OR_RETURN(device.edits, ReadEdits(reader));
  if (device.edits.empty()) {
    return reader.Bad("containerEdits", "change nothing");
  }
  return device;
}

absl::Status ReadKind(const SpecReader& reader, Spec& spec) {
  ASSIGN_OR_RETURN(spec.kind, reader.Text("kind"));
  if (!IsKind(spec.kind)) {
    return reader.Bad(
        "kind", absl::StrCat("\"", absl::CHexEscape(spec.kind.substr(0, 128)),
                             "\" is not vendor.com/class"));
  }
  if (reader.version() < k060 &&
      absl::StrContains(spec.kind.substr(spec.kind.find('/')), '.')) {
    return reader.Bad("kind",
                      "has a dot in its class, which cdiVersion 0.6.0 "
                      "allowed first");
  }
  return absl::OkStatus();
}

}  // namespace

bool Edits::empty() const {
  return env.empty() && nodes.empty() && mounts.empty() && hooks.empty() &&
         groups.empty() && net_devices.empty() && !intel_rdt;
}

void Edits::Append(const Edits& other) {
  AppendAll(other.env, env);
  AppendAll(other.nodes, nodes);
  AppendAll(other.mounts, mounts);
  AppendAll(other.hooks, hooks);
  AppendAll(other.groups, groups);
  AppendAll(other.net_devices, net_devices);
  intel_rdt = intel_rdt || other.intel_rdt;
}

absl::StatusOr<Spec> ParseSpec(const json::Value& value,
                               absl::string_view file) {
  ASSIGN_OR_RETURN(const Version version, ReadVersion(value, file));
  const SpecReader reader(value, file, "", version);
  RETURN_IF_ERROR(reader.CheckFields({{"cdiVersion"},
                                      {"kind"},
                                      {"annotations", k060},
                                      {"devices"},
                                      {"containerEdits"}}));
  RETURN_IF_ERROR(CheckAnnotations(reader));
  Spec spec;
  spec.file = std::string(file);
  RETURN_IF_ERROR(ReadKind(reader, spec));
  ASSIGN_OR_RETURN(const std::vector<SpecReader> devices,
                   reader.List("devices", kMostDevices));
  if (devices.empty()) {
    return reader.Bad("devices", "are missing");
  }
  std::set<std::string> names;
  for (const SpecReader& each : devices) {
    ASSIGN_OR_RETURN(Device device, ReadDevice(each));
    if (!names.insert(device.name).second) {
      return each.Bad("name",
                      absl::StrCat("\"", device.name, "\" is there twice"));
    }
    spec.devices.push_back(std::move(device));
  }
  ASSIGN_OR_RETURN(spec.edits, ReadEdits(reader));
  return spec;
}

absl::StatusOr<Spec> ParseSpecText(absl::string_view text,
                                   absl::string_view file) {
  const std::string what = absl::StrCat("CDI spec ", file);
  ASSIGN_OR_RETURN(const json::Value value, absl::EndsWith(file, ".json")
                                                ? json::Parse(text, what)
                                                : ParseYaml(text, what));
  return ParseSpec(value, file);
}

}  // namespace caisson::device
