#include "shim/core/client_error.h"

#include <gtest/gtest.h>

namespace caisson::core {
namespace {

using absl::StatusCode;

TEST(ClientErrorTest, WhatSpeaksOfNobodysObjectIsInternal) {
  for (const StatusCode code :
       {StatusCode::kNotFound, StatusCode::kAlreadyExists,
        StatusCode::kPermissionDenied, StatusCode::kUnauthenticated}) {
    const absl::Status ours(code, "open /x: why");
    EXPECT_EQ(AsAnswered(ours).code(), StatusCode::kInternal) << ours;
    EXPECT_EQ(AsAnswered(ours).message(), ours.message());
    const absl::Status theirs = ForClient(ours);
    EXPECT_EQ(AsAnswered(theirs).code(), code);
    EXPECT_EQ(AsAnswered(theirs).message(), ours.message());
  }
}

TEST(ClientErrorTest, AllOtherCodesStay) {
  for (const StatusCode code :
       {StatusCode::kCancelled, StatusCode::kUnknown,
        StatusCode::kInvalidArgument, StatusCode::kDeadlineExceeded,
        StatusCode::kResourceExhausted, StatusCode::kFailedPrecondition,
        StatusCode::kAborted, StatusCode::kOutOfRange,
        StatusCode::kUnimplemented, StatusCode::kInternal,
        StatusCode::kUnavailable, StatusCode::kDataLoss}) {
    const absl::Status status(code, "why");
    EXPECT_EQ(AsAnswered(status), status);
    EXPECT_EQ(AsAnswered(ForClient(status)).code(), code);
  }
}

TEST(ClientErrorTest, OkStaysOk) {
  EXPECT_TRUE(ForClient(absl::OkStatus()).ok());
  EXPECT_TRUE(AsAnswered(absl::OkStatus()).ok());
}

}  // namespace
}  // namespace caisson::core
