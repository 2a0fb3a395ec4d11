#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/root/image/registry.h"

// What many clients of one store do at the same time.
namespace caisson::image {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr auto kSoon = std::chrono::seconds(10);

class ImageRaceTest : public ImageTest {
 protected:
  // Two images that share a layer.
  void PushTwo() {
    const std::string base = MakeLayer("base", "echo base >f");
    Push("a:v1", {base, MakeLayer("one", "echo one >one")}, "");
    Push("b:v1", {base, MakeLayer("two", "echo two >two")}, "");
  }

  static void Join(std::vector<std::thread>& threads) {
    for (std::thread& thread : threads) {
      thread.join();
    }
  }

  void ExpectNothingLeft() {
    for (const Image& image : store_->List()) {
      EXPECT_TRUE(store_->Remove(image.id).ok());
    }
    EXPECT_EQ(LayerFiles(), 0);
    EXPECT_EQ(StagingFiles(), 0);
    EXPECT_EQ(Mounts(), 0);
  }
};

// A removal that was over when a pull began can't undo it: with nobody else
// removing, what was pulled is there.  Others pull the same all the while.
TEST_F(ImageRaceTest, WhatWasPulledAfterARemovalIsThere) {
  PushTwo();
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 3; ++i) {
    others.emplace_back([&] {
      while (!stop) {
        EXPECT_TRUE(Pull(At("a:v1")).ok());
      }
    });
  }
  for (int i = 0; i < 150; ++i) {
    for (const Image& image : store_->List()) {
      EXPECT_TRUE(store_->Remove(image.id).ok());
    }
    const absl::StatusOr<std::string> id = Pull(At("a:v1"));
    ASSERT_TRUE(id.ok()) << id.status();
    const absl::StatusOr<Image> found = store_->Find(At("a:v1"));
    EXPECT_TRUE(found.ok()) << "round " << i << ": " << found.status();
    const auto held = store_->FindAndHold(*id);
    EXPECT_TRUE(held.ok()) << "round " << i << ": " << held.status();
    const auto layers = store_->MountLayers(*id);
    EXPECT_TRUE(layers.ok()) << "round " << i << ": " << layers.status();
  }
  stop = true;
  Join(others);
  ExpectNothingLeft();
}

// All at once.  Errors may only say that the image isn't there; what is held
// can be mounted, and has its layers.
TEST_F(ImageRaceTest, ClientsOfAllKindsGetAlong) {
  PushTwo();
  std::atomic<bool> stop{false};
  std::atomic<int> mounted{0};
  std::vector<std::thread> threads;
  for (const char* name : {"a:v1", "b:v1"}) {
    threads.emplace_back([&, name] {
      while (!stop) {
        const auto id = Pull(At(name));
        EXPECT_TRUE(id.ok()) << id.status();
      }
    });
    threads.emplace_back([&, name] {
      while (!stop) {
        EXPECT_TRUE(store_->Remove(At(name)).ok());
        std::this_thread::yield();
      }
    });
    threads.emplace_back([&, name] {
      while (!stop) {
        auto held = store_->FindAndHold(At(name));
        if (!held.ok()) {
          EXPECT_TRUE(absl::IsNotFound(held.status()));
          continue;
        }
        const auto layers = store_->MountLayers(held->image().id);
        ASSERT_TRUE(layers.ok()) << layers.status();
        EXPECT_EQ(layers->size(), 2u);
        EXPECT_EQ(caisson::testing::ReadFile(layers->back() + "/f"), "base\n");
        ++mounted;
      }
    });
    threads.emplace_back([&, name] {
      while (!stop) {
        // Without a hold: an image that goes away is no broken one.
        const auto image = store_->Find(At(name));
        if (image.ok()) {
          const auto layers = store_->MountLayers(image->id);
          EXPECT_TRUE(layers.ok() || absl::IsNotFound(layers.status()))
              << layers.status();
        }
        store_->List();
      }
    });
  }
  const Deadline deadline = Deadline::After(absl::Seconds(60));
  while (mounted < 40 && !deadline.passed()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  stop = true;
  Join(threads);
  EXPECT_GE(mounted, 40);
  ExpectNothingLeft();
}

TEST_F(ImageRaceTest, AHoldIsRefusedOrKept) {
  PushTwo();
  const auto id = Pull(At("a:v1"));
  ASSERT_TRUE(id.ok()) << id.status();
  {
    auto held = store_->FindAndHold(At("a:v1"));
    ASSERT_TRUE(held.ok()) << held.status();
    EXPECT_TRUE(store_->Remove(*id).ok());
    HeldImage moved = *std::move(held);
    EXPECT_FALSE(store_->FindAndHold(At("a:v1")).ok());
    EXPECT_TRUE(store_->MountLayers(moved.image().id).ok());
    EXPECT_EQ(LayerFiles(), 2);
  }
  EXPECT_EQ(LayerFiles(), 0);
  EXPECT_TRUE(absl::IsNotFound(store_->Hold(*id)));
  EXPECT_TRUE(absl::IsNotFound(store_->MountLayers(*id).status()));
  ASSERT_TRUE(Pull(At("a:v1")).ok());
  EXPECT_EQ(store_->FindAndHold(*id)->image().id, *id);
  const std::string kept = store_->FindAndHold(*id).value().image().id;
  auto held = store_->FindAndHold(*id);
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(std::move(*held).Keep(), kept);
  EXPECT_TRUE(store_->Remove(*id).ok());
  EXPECT_EQ(LayerFiles(), 2);
  store_->Release(*id);
  ExpectNothingLeft();
}

TEST_F(ImageRaceTest, WhoeverGivesUpLeavesTheFetchToTheOthers) {
  SilentServer silent;
  Redirect("silent.test", silent.url());
  const UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  absl::StatusOr<std::string> patient = std::string();
  std::thread other([&] {
    patient = store_->Pull("silent.test/x:v1", {},
                           Deadline::After(absl::Minutes(5)), cancel.get());
  });
  const auto start = Clock::now();
  EXPECT_EQ(store_
                ->Pull("silent.test/x:v1", {},
                       Deadline::After(absl::Milliseconds(300)), -1)
                .status()
                .code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(Clock::now() - start, kSoon);
  EXPECT_EQ(Pullers(), 1);
  eventfd_write(cancel.get(), 1);
  other.join();
  EXPECT_EQ(patient.status().code(), absl::StatusCode::kCancelled);
  // The last one ended it.
  const Deadline deadline = Deadline::After(absl::Seconds(10));
  while (Pullers() > 0 && !deadline.passed()) {
  }
  EXPECT_EQ(Pullers(), 0);
  EXPECT_LT(Clock::now() - start, kSoon);
  EXPECT_EQ(StagingFiles(), 0);
}

TEST_F(ImageRaceTest, APullThatGetsNothingIsEnded) {
  options_.stall_limit = absl::Seconds(2);
  OpenStore();
  SilentServer silent;
  Redirect("silent.test", silent.url());
  const auto start = Clock::now();
  const absl::Status status = Pull("silent.test/x:v1").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("sent anything for 2s"));
  EXPECT_LT(Clock::now() - start, kSoon);
  EXPECT_EQ(Pullers(), 0);
}

TEST_F(ImageRaceTest, OnlySoManyPullsRunAtATime) {
  options_.parallel_pulls = 2;
  OpenStore();
  SilentServer silent;
  Redirect("silent.test", silent.url());
  const UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      EXPECT_EQ(store_
                    ->Pull(absl::StrCat("silent.test/x", i, ":v1"), {},
                           Deadline::After(absl::Minutes(1)), cancel.get())
                    .status()
                    .code(),
                absl::StatusCode::kCancelled);
    });
  }
  // One that waits for its turn has a deadline, too.
  EXPECT_EQ(store_->Pull(At("a:v1"), {}, Deadline::After(absl::Seconds(1)), -1)
                .status()
                .code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LE(Pullers(), 2);
  eventfd_write(cancel.get(), 1);
  Join(threads);
}

}  // namespace
}  // namespace caisson::image
