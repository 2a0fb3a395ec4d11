#include "shim/plan/signal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>

namespace caisson::plan {
namespace {

using ::testing::HasSubstr;

TEST(SignalTest, EveryUsualFormIsRead) {
  struct Row {
    const char* text;
    int signal;
  };

  const Row rows[] = {{"SIGTERM", SIGTERM},
                      {"TERM", SIGTERM},
                      {"sigterm", SIGTERM},
                      {"15", SIGTERM},
                      {"9", SIGKILL},
                      {"SIGWINCH", SIGWINCH},
                      {"RTMIN", SIGRTMIN},
                      {"SIGRTMIN+3", SIGRTMIN + 3},
                      {"RTMAX-1", SIGRTMAX - 1},
                      {"RTMAX", SIGRTMAX},
                      {"64", 64}};
  for (const Row& row : rows) {
    const absl::StatusOr<int> signal = ParseSignal(row.text);
    ASSERT_TRUE(signal.ok()) << row.text << ": " << signal.status();
    EXPECT_EQ(*signal, row.signal) << row.text;
  }
}

TEST(SignalTest, NonsenseIsRefusedByItsText) {
  for (const char* text :
       {"", "0", "-9", "65", "SIG", "SIGNOPE", "RTMIN-1", "RTMAX+1", "RTMIN3",
        "RTMIN+", "RTMIN+x", "RTMIN+2147483647", "RTMAX-2147483648",
        "RTMIN+99999999999", "9999999999", "TERM\n"}) {
    const absl::StatusOr<int> signal = ParseSignal(text);
    EXPECT_EQ(signal.status().code(), absl::StatusCode::kInvalidArgument)
        << text;
    EXPECT_THAT(std::string(signal.status().message()),
                HasSubstr("check stop_signal: \""))
        << text;
  }
  EXPECT_THAT(std::string(ParseSignal("RTMIN+99").status().message()),
              HasSubstr("\"RTMIN+99\" is out of range"));
}

TEST(SignalTest, EverySignalOfTheCriIsKnownAndComesBack) {
  const google::protobuf::EnumDescriptor* names =
      runtime::v1::Signal_descriptor();
  ASSERT_GT(names->value_count(), 60);
  for (int i = 0; i < names->value_count(); ++i) {
    const auto value =
        static_cast<runtime::v1::Signal>(names->value(i)->number());
    const absl::StatusOr<int> number = FromCri(value);
    ASSERT_TRUE(number.ok())
        << names->value(i)->name() << ": " << number.status();
    const absl::StatusOr<int> again = FromCri(ToCri(*number));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *number) << names->value(i)->name();
  }
}

TEST(SignalTest, NumberBeyondTheCrisSignalsIsRefused) {
  const absl::StatusOr<int> signal =
      FromCri(static_cast<runtime::v1::Signal>(4711));
  EXPECT_EQ(signal.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(signal.status().message()),
              HasSubstr("check config.stop_signal: \"4711\""));
}

}  // namespace
}  // namespace caisson::plan
