#include "shim/ctl/log_follower.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace caisson::ctl {
namespace {

class LogFollowerTest : public testing::Test {
 protected:
  LogFollowerTest() {
    directory_ = testing::TempDir() + "caisson-log-XXXXXX";
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    out_ = Open("/out");
    err_ = Open("/err");
  }

  ~LogFollowerTest() override {
    for (const char* name : {"/log", "/out", "/err"}) {
      ::unlink((directory_ + name).c_str());
    }
    ::rmdir(directory_.c_str());
  }

  UniqueFd Open(const std::string& name) {
    return UniqueFd(::open((directory_ + name).c_str(),
                           O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  }

  std::string Read(const std::string& name) {
    std::ifstream file(directory_ + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void Append(const std::string& text) {
    std::ofstream(directory_ + "/log", std::ios::app) << text;
  }

  std::string directory_;
  UniqueFd out_;
  UniqueFd err_;
};

TEST_F(LogFollowerTest, CopiesEachStreamAndJoinsPartialLines) {
  LogFollower log(directory_ + "/log", out_.get(), err_.get());
  EXPECT_TRUE(log.Drain().ok());
  Append("t stdout P ab\nt stderr F oh\nt stdout F c\nt stdo");
  EXPECT_TRUE(log.Drain().ok());
  EXPECT_EQ(Read("/out"), "abc\n");
  EXPECT_EQ(Read("/err"), "oh\n");
  Append("ut F d\n");
  EXPECT_TRUE(log.Drain().ok());
  EXPECT_EQ(Read("/out"), "abc\nd\n");
}

TEST_F(LogFollowerTest, LinesLongerThanABlockArriveWhole) {
  LogFollower log(directory_ + "/log", out_.get(), err_.get());
  const std::string text(1 << 20, 'x');
  Append("t stdout F " + text + "\n");
  EXPECT_TRUE(log.Drain().ok());
  EXPECT_EQ(Read("/out"), text + "\n");
}

TEST_F(LogFollowerTest, AForeignLineIsAnError) {
  LogFollower log(directory_ + "/log", out_.get(), err_.get());
  Append("hello\n");
  EXPECT_FALSE(log.Drain().ok());
}

}  // namespace
}  // namespace caisson::ctl
