#include "runtime/kernel/spawn.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "runtime/base/pipe.h"
#include "runtime/base/read_file.h"
#include "runtime/kernel/process.h"
#include "tests/support/machine.h"

namespace caisson::kernel {
namespace {

// What a shell with `script` says; its fds: none, then `fds` from 1 on.
std::string Say(const std::string& script, SpawnOptions options = {}) {
  auto pipe = MakePipe();
  EXPECT_TRUE(pipe.ok()) << pipe.status();
  options.program = "/bin/sh";
  options.arguments = {"sh", "-c", script};
  options.fds[1] = pipe->write.get();
  const auto spawned = Spawn(options);
  EXPECT_TRUE(spawned.ok()) << spawned.status();
  pipe->write.reset();
  std::string said = ReadToEnd(pipe->read.get(), 1 << 20, "output").value();
  EXPECT_EQ(*Reap(spawned->pidfd.get(), true), 0);
  return said;
}

TEST(SpawnTest, InheritsNothingButWhatIsGiven) {
  const UniqueFd leak(open("/dev/null", O_RDONLY));
  SpawnOptions options;
  options.environment = {"A=b c"};
  EXPECT_EQ(Say("echo $A-$HOME; pwd; test -e /proc/self/fd/" +
                    std::to_string(leak.get()) + " && echo leaked; true",
                options),
            "b c-\n/\n");
}

// Each of two is the other's place.
TEST(SpawnTest, FilesMayChangePlaces) {
  auto one = MakePipe();
  auto two = MakePipe();
  ASSERT_TRUE(one.ok() && two.ok());
  SpawnOptions options;
  options.fds.resize(64, -1);
  options.fds[static_cast<size_t>(one->write.get())] = two->write.get();
  options.fds[static_cast<size_t>(two->write.get())] = one->write.get();
  Say("echo two >/proc/self/fd/" + std::to_string(one->write.get()) +
          "; echo one >/proc/self/fd/" + std::to_string(two->write.get()),
      options);
  one->write.reset();
  two->write.reset();
  EXPECT_EQ(*ReadToEnd(one->read.get(), 100, "pipe"), "one\n");
  EXPECT_EQ(*ReadToEnd(two->read.get(), 100, "pipe"), "two\n");
}

TEST(SpawnTest, SaysWhyItCannot) {
  const ::caisson::testing::TemporaryDirectory directory;
  SpawnOptions options;
  options.program = directory.path() + "/none";
  options.arguments = {"none"};
  const absl::Status status = Spawn(options).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr(options.program));
}

}  // namespace
}  // namespace caisson::kernel
