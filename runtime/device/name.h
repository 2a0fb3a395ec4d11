#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Names of the Container Device Interface: vendor.com/class=name.
namespace caisson::device {

// Letters, digits, "_", "-" and "." between a letter and a letter or digit.
bool IsVendor(absl::string_view text);
bool IsClass(absl::string_view text);

// The same with ":" allowed inside, and a digit as the first one as well.
bool IsDevice(absl::string_view text);

// "vendor.com/class".
bool IsKind(absl::string_view text);

// Whether `name` is fully qualified; InvalidArgument with the name.
absl::Status CheckQualifiedName(absl::string_view name);

}  // namespace caisson::device
