#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/cri/fixture/list_watch.h"

// A node that is drained: all pods are asked to stop at once, and none heeds
// it.
namespace caisson::cri_test {
namespace {

// CAISSON_STOPS and CAISSON_GRACE: how many and how many seconds; 400 and 30
// by hand.
int FromEnvironment(const char* name, int otherwise) {
  const char* text = getenv(name);
  int value = otherwise;
  return text == nullptr || !absl::SimpleAtoi(text, &value) ? otherwise : value;
}

class ManyStopsTest : public LifeTest {
 protected:
  // Eight at a time.
  void MakePods() {
    std::vector<std::thread> makers;
    std::atomic<int> next = 0;
    containers_.resize(static_cast<size_t>(count_));
    for (int i = 0; i < 8; ++i) {
      makers.emplace_back([&] {
        for (int n = next++; n < count_; n = next++) {
          // Its first process has no handler: the kernel gives it no SIGTERM.
          containers_[static_cast<size_t>(n)] =
              Container(Pod(absl::StrCat("many", n)), "app");
        }
      });
    }
    for (std::thread& maker : makers) {
      maker.join();
    }
  }

  struct Stop {
    grpc::ClientContext context;
    cri::StopContainerRequest request;
    cri::StopContainerResponse response;
  };

  // All at once, on 40 connections; nobody waits for an answer.
  void BeginStops() {
    for (int i = 0; i < 40; ++i) {
      clients_.push_back(std::make_unique<CriClient>(daemon_->SocketPath()));
    }
    begin_ = absl::Now();
    for (const std::string& container : containers_) {
      auto stop = std::make_unique<Stop>();
      stop->request.set_container_id(container);
      stop->request.set_timeout(grace_);
      SetTime(stop->context, absl::Minutes(5));
      Stop& call = *stop;
      clients_[stops_.size() % clients_.size()]
          ->runtime()
          .async()
          ->StopContainer(&call.context, &call.request, &call.response,
                          [this](const grpc::Status& status) {
                            answered_ += status.ok() ? 1 : 0;
                            ++ended_;
                          });
      stops_.push_back(std::move(stop));
    }
  }

  void TearDown() override {
    Await([&] { return ended_ == static_cast<int>(stops_.size()); },
          absl::Minutes(6));
    clients_.clear();
    LifeTest::TearDown();
  }

  void Measure(const std::string& when, int* most_threads, int64_t* most_kb) {
    *most_threads = std::max(*most_threads, daemon_->Threads());
    *most_kb = std::max(*most_kb, daemon_->ResidentKilobytes());
    EXPECT_LE(*most_threads, 64) << when;
    EXPECT_LE(*most_kb, 40 << 10) << when;
  }

  size_t Running() {
    std::vector<cri::Container> containers;
    EXPECT_TRUE(client_->Containers(&containers).ok());
    return static_cast<size_t>(std::count_if(
        containers.begin(), containers.end(),
        [](const auto& it) { return it.state() != cri::CONTAINER_EXITED; }));
  }

  const int count_ = FromEnvironment("CAISSON_STOPS", 100);
  const int grace_ = FromEnvironment("CAISSON_GRACE", 10);
  std::vector<std::string> containers_;
  std::vector<std::unique_ptr<CriClient>> clients_;
  std::vector<std::unique_ptr<Stop>> stops_;
  std::atomic<int> answered_ = 0;
  std::atomic<int> ended_ = 0;
  absl::Time begin_;
};

TEST_F(ManyStopsTest, TakeFewThreadsAndLittleMemory) {
  MakePods();
  ASSERT_FALSE(HasFailure());
  ASSERT_EQ(Running(), containers_.size());
  ListWatch watch(daemon_->SocketPath());
  BeginStops();
  const absl::Duration grace = absl::Seconds(grace_);
  int threads = 0;
  int64_t kilobytes = 0;
  while (absl::Now() < begin_ + grace - absl::Seconds(1)) {
    Measure("in the grace period", &threads, &kilobytes);
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_EQ(Running(), containers_.size()) << "it does not wait";
  const int count = static_cast<int>(stops_.size());
  Await(
      [&] {
        Measure("at its end", &threads, &kilobytes);
        return ended_ == count;
      },
      absl::Seconds(20));
  EXPECT_EQ(answered_, count);
  printf(
      "%d stops ended %.1f s after their grace of %d s; at most %d threads, "
      "%.1f MB\n",
      count, absl::ToDoubleSeconds(absl::Now() - begin_ - grace), grace_,
      threads, static_cast<double>(kilobytes) / 1024);
  ExpectQuick(watch.Stop(), 500, "beside the stops");
  EXPECT_EQ(Running(), 0u);
}

TEST_F(ManyStopsTest, AreFinishedByTheNextDaemon) {
  MakePods();
  ASSERT_FALSE(HasFailure());
  BeginStops();
  absl::SleepFor(absl::Seconds(2));
  const absl::Duration ended = daemon_->Terminate();
  EXPECT_LE(ended, OnThisMachine(absl::Seconds(1)));
  const int count = static_cast<int>(stops_.size());
  EXPECT_TRUE(Await([&] { return ended_ == count; }));
  EXPECT_EQ(answered_, 0);
  const absl::Duration served = daemon_->Start();
  EXPECT_LE(served, OnThisMachine(absl::Seconds(1)));
  EXPECT_EQ(Running(), containers_.size());
  const absl::Time due = begin_ + absl::Seconds(grace_);
  EXPECT_TRUE(Await([&] { return Running() == 0; },
                    due + OnThisMachine(absl::Seconds(5)) - absl::Now()));
  EXPECT_GE(absl::Now(), due - absl::Milliseconds(100)) << "too early";
  printf(
      "ended %.2f s after SIGTERM, the next served after %.2f s, all stops "
      "done %.1f s after their time\n",
      absl::ToDoubleSeconds(ended), absl::ToDoubleSeconds(served),
      absl::ToDoubleSeconds(absl::Now() - due));
}

}  // namespace
}  // namespace caisson::cri_test
