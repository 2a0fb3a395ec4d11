#include "shim/core/operation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/await.h"
#include "tests/support/gate.h"

namespace caisson::core {
namespace {

using ::caisson::testing::Await;
using ::caisson::testing::Gate;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Deadline kLong = Deadline::After(absl::Minutes(5));

// Who waits for an operation.
class Caller {
 public:
  OperationTable::Done Done() {
    return [this](const Operation::Result& result) {
      MutexLock lock(mutex_);
      ++answers_;
      result_ = result;
    };
  }

  // Its answer; one.
  Operation::Result Answer() {
    EXPECT_TRUE(Await([this] { return answers() > 0; }));
    MutexLock lock(mutex_);
    EXPECT_EQ(answers_, 1);
    return result_;
  }

  int answers() {
    MutexLock lock(mutex_);
    return answers_;
  }

 private:
  Mutex mutex_;
  int answers_ ABSL_GUARDED_BY(mutex_) = 0;
  Operation::Result result_ ABSL_GUARDED_BY(mutex_) =
      absl::UnknownError("no answer");
};

class OperationTest : public ::testing::Test {
 protected:
  OperationTable::Ticket Run(const std::string& key, OperationTable::Work work,
                             Caller& caller, Deadline deadline = kLong) {
    return table_.Run({key, "work " + key, absl::Minutes(1), &pool_},
                      std::move(work), deadline, caller.Done());
  }

  Timers timers_;
  OperationTable table_{timers_};
  ThreadPool pool_{"test", 8};
};

TEST_F(OperationTest, ItsResultIsTheAnswer) {
  Caller good;
  Run(
      "a", [](const OperationPtr& it) { it->Finish(std::string("id")); }, good);
  EXPECT_EQ(good.Answer().value(), "id");
  Caller bad;
  Run(
      "a",
      [](const OperationPtr& it) { it->Finish(absl::DataLossError("why")); },
      bad);
  EXPECT_EQ(bad.Answer().status(), absl::DataLossError("why"));
  EXPECT_THAT(table_.Describe(), IsEmpty());
}

TEST_F(OperationTest, WhoComesWithItsKeyGetsItsResult) {
  Gate gate;
  std::atomic<int> runs = 0;
  const auto work = [&](const OperationPtr& it) {
    ++runs;
    gate.Wait();
    it->Finish(std::string("made"));
  };
  std::vector<Caller> callers(5);
  for (Caller& caller : callers) {
    Run("a", work, caller);
  }
  ASSERT_TRUE(Await([&] { return runs == 1; }));
  gate.Open();
  for (Caller& caller : callers) {
    EXPECT_EQ(caller.Answer().value(), "made");
  }
  EXPECT_EQ(runs, 1);
}

TEST_F(OperationTest, AnotherKeyRunsBesideIt) {
  Gate gate;
  Caller slow;
  Run(
      "a",
      [&](const OperationPtr& it) {
        gate.Wait();
        it->Finish(std::string("slow"));
      },
      slow);
  Caller fast;
  Run(
      "b", [](const OperationPtr& it) { it->Finish(std::string("fast")); },
      fast);
  EXPECT_EQ(fast.Answer().value(), "fast");
  EXPECT_EQ(slow.answers(), 0);
  gate.Open();
  EXPECT_EQ(slow.Answer().value(), "slow");
}

TEST_F(OperationTest, WithoutAKeyNobodyJoins) {
  Gate gate;
  std::atomic<int> runs = 0;
  std::vector<Caller> callers(2);
  for (Caller& caller : callers) {
    Run(
        "", [&](const OperationPtr& it) { it->Finish(std::to_string(++runs)); },
        caller);
  }
  EXPECT_NE(callers[0].Answer().value(), callers[1].Answer().value());
}

TEST_F(OperationTest, ARetryAfterTheEndStartsAnew) {
  int runs = 0;
  const auto work = [&](const OperationPtr& it) {
    it->Finish(std::to_string(++runs));
  };
  for (const char* expected : {"1", "2", "3"}) {
    Caller caller;
    Run("a", work, caller);
    EXPECT_EQ(caller.Answer().value(), expected);
  }
}

TEST_F(OperationTest, ADeadlineAnswersWithTheStageAndItsTime) {
  Gate gate;
  Caller hurried;
  Caller patient;
  std::atomic<bool> entered = false;
  const auto work = [&](const OperationPtr& it) {
    it->Enter("attach network");
    entered = true;
    gate.Wait();
    it->Finish(std::string("done"));
  };
  Run("a", work, patient);
  ASSERT_TRUE(Await([&] { return entered.load(); }));
  Run("a", work, hurried, Deadline::After(absl::Milliseconds(20)));
  const absl::Status status = hurried.Answer().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("work a"));
  EXPECT_THAT(std::string(status.message()),
              ::testing::ContainsRegex("attach network for [0-9.]+m?s"));
  // It goes on, for the other.
  EXPECT_EQ(patient.answers(), 0);
  gate.Open();
  EXPECT_EQ(patient.Answer().value(), "done");
}

TEST_F(OperationTest, WhoLeavesIsAnsweredAndTheRestGoesOn) {
  Gate gate;
  Caller leaver;
  Caller stayer;
  std::atomic<bool> abandoned = false;
  const auto work = [&](const OperationPtr& it) {
    it->OnAbandoned([&] { abandoned = true; });
    gate.Wait();
    it->Finish(std::string("done"));
  };
  const OperationTable::Ticket ticket = Run("a", work, leaver);
  Run("a", work, stayer);
  table_.Leave(ticket);
  EXPECT_EQ(leaver.Answer().status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(abandoned);
  // Again, and when it is long gone: nothing.
  table_.Leave(ticket);
  gate.Open();
  EXPECT_EQ(stayer.Answer().value(), "done");
  table_.Leave(ticket);
  EXPECT_EQ(leaver.answers(), 1);
  EXPECT_FALSE(abandoned);
}

TEST_F(OperationTest, TheLastOneWhoLeavesAbandonsIt) {
  Gate gate;
  std::atomic<int> abandoned = 0;
  std::atomic<bool> ready = false;
  std::vector<Caller> callers(3);
  std::vector<OperationTable::Ticket> tickets;
  const auto work = [&](const OperationPtr& it) {
    it->OnAbandoned([&] { ++abandoned; });
    ready = true;
    gate.Wait();
    it->Finish(std::string("done"));
  };
  tickets.push_back(Run("a", work, callers[0]));
  tickets.push_back(Run("a", work, callers[1]));
  // One of them by its deadline.
  Run("a", work, callers[2], Deadline::After(absl::Milliseconds(10)));
  ASSERT_TRUE(Await([&] { return ready.load(); }));
  table_.Leave(tickets[0]);
  EXPECT_EQ(callers[2].Answer().status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(abandoned, 0);
  table_.Leave(tickets[1]);
  EXPECT_EQ(abandoned, 1);
  gate.Open();
  EXPECT_TRUE(Await([&] { return table_.Describe().empty(); }));
  EXPECT_EQ(abandoned, 1);
}

TEST_F(OperationTest, OneThatIsAbandonedAlreadyHearsAtOnce) {
  Gate gate;
  std::atomic<bool> told = false;
  Caller caller;
  const OperationTable::Ticket ticket = Run(
      "a",
      [&](const OperationPtr& it) {
        gate.Wait();
        it->OnAbandoned([&] { told = true; });
        it->Finish(std::string("done"));
      },
      caller);
  table_.Leave(ticket);
  EXPECT_FALSE(told);
  gate.Open();
  EXPECT_TRUE(Await([&] { return told.load(); }));
}

TEST_F(OperationTest, WhoComesAfterAllHaveLeftJoinsWhatStillRuns) {
  Gate gate;
  Caller first;
  std::atomic<int> runs = 0;
  const auto work = [&](const OperationPtr& it) {
    ++runs;
    gate.Wait();
    it->Finish(std::string("done"));
  };
  const OperationTable::Ticket ticket = Run("a", work, first);
  ASSERT_TRUE(Await([&] { return runs == 1; }));
  table_.Leave(ticket);
  Caller retry;
  Run("a", work, retry);
  gate.Open();
  EXPECT_EQ(retry.Answer().value(), "done");
  EXPECT_EQ(runs, 1);
}

TEST_F(OperationTest, AnEndThatFollowsTheDeadlineAnswersNobodyTwice) {
  Gate gate;
  Caller caller;
  Run(
      "a",
      [&](const OperationPtr& it) {
        gate.Wait();
        it->Finish(std::string("late"));
      },
      caller, Deadline::After(absl::Milliseconds(10)));
  EXPECT_EQ(caller.Answer().status().code(),
            absl::StatusCode::kDeadlineExceeded);
  gate.Open();
  EXPECT_TRUE(Await([&] { return table_.Describe().empty(); }));
  EXPECT_EQ(caller.answers(), 1);
}

TEST_F(OperationTest, ItMayFinishLaterOnAnotherThread) {
  OperationPtr kept;
  Caller caller;
  Gate handed;
  Run(
      "a",
      [&](const OperationPtr& it) {
        kept = it;
        handed.Open();
      },
      caller);
  ASSERT_TRUE(handed.WaitFor(absl::Seconds(10)));
  EXPECT_EQ(caller.answers(), 0);
  std::thread([&] { kept->Finish(std::string("done")); }).join();
  EXPECT_EQ(caller.Answer().value(), "done");
}

TEST_F(OperationTest, CloseAnswersAllAndRefusesNewOnes) {
  Gate gate;
  std::vector<Caller> callers(3);
  std::atomic<int> ended = 0;
  for (Caller& caller : callers) {
    Run(
        "k" + std::to_string(&caller - callers.data()),
        [&](const OperationPtr& it) {
          gate.Wait();
          it->Finish(std::string("done"));
          ++ended;
        },
        caller);
  }
  table_.Close();
  for (Caller& caller : callers) {
    EXPECT_EQ(caller.Answer().status().code(), absl::StatusCode::kUnavailable);
  }
  Caller late;
  EXPECT_EQ(Run(
                "late", [](const OperationPtr&) { FAIL(); }, late),
            0u);
  EXPECT_EQ(late.Answer().status().code(), absl::StatusCode::kUnavailable);
  gate.Open();
  EXPECT_TRUE(Await([&] { return ended == 3; }));
  for (Caller& caller : callers) {
    EXPECT_EQ(caller.answers(), 1);
  }
}

TEST_F(OperationTest, DescribeNamesWhatRunsAndWhere) {
  Gate gate;
  std::atomic<bool> entered = false;
  Caller caller;
  Run(
      "a",
      [&](const OperationPtr& it) {
        EXPECT_FALSE(it->deadline().is_never());
        it->Enter("await its end");
        entered = true;
        gate.Wait();
        it->Finish(std::string("done"));
      },
      caller);
  ASSERT_TRUE(Await([&] { return entered.load(); }));
  EXPECT_THAT(table_.Describe(),
              ElementsAre(HasSubstr("work a: await its end for ")));
  gate.Open();
  EXPECT_TRUE(caller.Answer().ok());
}

TEST_F(OperationTest, EachCallerGetsOneAnswerWhateverRaces) {
  std::vector<Caller> callers(400);
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = thread; i < callers.size(); i += 4) {
        const OperationTable::Ticket ticket = Run(
            "k" + std::to_string(i % 7),
            [](const OperationPtr& it) {
              it->Enter("work");
              it->OnAbandoned([] {});
              it->Finish(std::string("done"));
            },
            callers[i], Deadline::After(absl::Microseconds(30 * (i % 5))));
        if (i % 3 == 0) {
          table_.Leave(ticket);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (Caller& caller : callers) {
    EXPECT_TRUE(Await([&] { return caller.answers() == 1; }));
  }
  EXPECT_TRUE(Await([&] { return table_.Describe().empty(); }));
}

}  // namespace
}  // namespace caisson::core
