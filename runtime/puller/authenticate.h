#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "runtime/puller/http.h"

namespace caisson::puller {

// Answers a host's challenge (WWW-Authenticate of a 401): fills in the
// credentials of `request`, fetching a token from the realm if it asks for
// one.  Unauthenticated when there is nothing to answer with.
absl::Status Authenticate(const v1::Host& host,
                          const v1::Credentials& credentials,
                          absl::string_view challenge, HttpRequest& request);

}  // namespace caisson::puller
