#include "runtime/keeper/unknown_fields.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::keeper {
namespace {

// The number of the first field in bytes of the wire format: the low three
// bits of its tag are the type.
uint64_t FirstFieldNumber(const std::string& bytes) {
  uint64_t tag = 0;
  int shift = 0;
  for (const char each : bytes) {
    const auto byte = static_cast<unsigned char>(each);
    tag |= uint64_t{byte & 0x7fU} << shift;
    shift += 7;
    if ((byte & 0x80U) == 0 || shift > 63) {
      break;
    }
  }
  return tag >> 3;
}

// The lite library keeps what it does not know as bytes, for each message, but
// shows them to generated code only: by way of what that inherits.
class UnknownFields : public google::protobuf::MessageLite {
 public:
  static const std::string& Of(const google::protobuf::MessageLite& message) {
    static const std::string* const none = new std::string;
    return (message.*&UnknownFields::_internal_metadata_)
        .unknown_fields<std::string>(
            []() -> const std::string& { return *none; });
  }
};

absl::Status CheckOwn(const google::protobuf::MessageLite& message,
                      absl::string_view name) {
  const std::string& unknown = UnknownFields::Of(message);
  return unknown.empty() ? absl::OkStatus()
                         : absl::InvalidArgumentError(absl::StrCat(
                               "check plan: unknown field ",
                               FirstFieldNumber(unknown), " of ", name));
}

absl::Status CheckValue(bool known, int value, absl::string_view field) {
  return known ? absl::OkStatus()
               : absl::InvalidArgumentError(absl::StrCat(
                     "check plan: unknown value ", value, " of ", field));
}

// The messages that have no others in them.
absl::Status Check(const v1::IdExtent& message) {
  return CheckOwn(message, "IdExtent");
}

absl::Status Check(const v1::Device& message) {
  return CheckOwn(message, "Device");
}

absl::Status Check(const v1::Capabilities& message) {
  return CheckOwn(message, "Capabilities");
}

absl::Status Check(const v1::Rlimit& message) {
  return CheckOwn(message, "Rlimit");
}

absl::Status Check(const v1::CgroupFds& message) {
  return CheckOwn(message, "CgroupFds");
}

absl::Status Check(const v1::Hook& message) {
  return CheckOwn(message, "Hook");
}

absl::Status Check(const v1::Mount& message) {
  RETURN_IF_ERROR(CheckOwn(message, "Mount"));
  RETURN_IF_ERROR(CheckValue(v1::Mount::Kind_IsValid(message.kind()),
                             message.kind(), "Mount.kind"));
  RETURN_IF_ERROR(
      CheckValue(v1::Mount::Propagation_IsValid(message.propagation()),
                 message.propagation(), "Mount.propagation"));
  return CheckValue(v1::Mount::IdMapping_IsValid(message.id_mapping()),
                    message.id_mapping(), "Mount.id_mapping");
}

template <typename Messages>
absl::Status CheckEach(const Messages& messages) {
  for (const auto& message : messages) {
    RETURN_IF_ERROR(Check(message));
  }
  return absl::OkStatus();
}

absl::Status Check(const v1::Process& message) {
  RETURN_IF_ERROR(CheckOwn(message, "Process"));
  RETURN_IF_ERROR(Check(message.capabilities()));
  return CheckEach(message.rlimits());
}

}  // namespace

absl::Status CheckKnown(const v1::PodPlan& plan) {
  RETURN_IF_ERROR(CheckOwn(plan, "PodPlan"));
  RETURN_IF_ERROR(CheckEach(plan.uids()));
  return CheckEach(plan.gids());
}

absl::Status CheckKnown(const v1::ContainerPlan& plan) {
  RETURN_IF_ERROR(CheckOwn(plan, "ContainerPlan"));
  RETURN_IF_ERROR(
      CheckValue(v1::ContainerPlan::PidMode_IsValid(plan.pid_mode()),
                 plan.pid_mode(), "ContainerPlan.pid_mode"));
  RETURN_IF_ERROR(CheckEach(plan.mounts()));
  RETURN_IF_ERROR(CheckEach(plan.devices()));
  RETURN_IF_ERROR(Check(plan.process()));
  RETURN_IF_ERROR(Check(plan.cgroup()));
  RETURN_IF_ERROR(CheckEach(plan.create_hooks()));
  return CheckEach(plan.start_hooks());
}

absl::Status CheckKnown(const v1::ExecPlan& plan) {
  RETURN_IF_ERROR(CheckOwn(plan, "ExecPlan"));
  return Check(plan.cgroup());
}

}  // namespace caisson::keeper
