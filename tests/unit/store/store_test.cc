#include "shim/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/machine.h"

namespace caisson::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(path_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  void Run(const std::string& sql) {
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &raw), SQLITE_OK);
    char* error = nullptr;
    sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, &error);
    EXPECT_EQ(error, nullptr) << error;
    sqlite3_free(error);
    sqlite3_close(raw);
  }

  int Count(const std::string& sql) {
    sqlite3* raw = nullptr;
    sqlite3_open(path_.c_str(), &raw);
    sqlite3_stmt* row = nullptr;
    sqlite3_prepare_v2(raw, sql.c_str(), -1, &row, nullptr);
    const int count =
        sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int(row, 0) : -1;
    sqlite3_finalize(row);
    sqlite3_close(raw);
    return count;
  }

  std::vector<std::string> PodIds() {
    std::vector<std::string> ids;
    const absl::StatusOr<Records> records = store_->Load();
    EXPECT_TRUE(records.ok()) << records.status();
    for (const state::v1::PodRecord& pod : records->pods) {
      ids.push_back(pod.id());
    }
    return ids;
  }

  std::vector<std::pair<uint32_t, uint32_t>> Leases() {
    std::vector<std::pair<uint32_t, uint32_t>> leases;
    const absl::StatusOr<std::vector<Lease>> all = store_->Leases();
    EXPECT_TRUE(all.ok()) << all.status();
    for (const Lease& lease : *all) {
      leases.emplace_back(lease.start, lease.length);
    }
    return leases;
  }

  ::caisson::testing::TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/pods.db";
  std::unique_ptr<Store> store_;
};

state::v1::PodRecord Pod(const std::string& id) {
  state::v1::PodRecord record;
  record.set_id(id);
  record.set_config(std::string("\0\xff", 2));
  record.set_created_at(7);
  return record;
}

TEST_F(StoreTest, RecordsAndLeasesAreTheSameAfterReopening) {
  const state::v1::PodRecord pod = Pod("p");
  ASSERT_TRUE(store_->AddPod(pod, {{65536, 65536}, {131072, 1}}).ok());
  state::v1::ContainerRecord container;
  container.set_id("c");
  container.set_pod_id("p");
  container.set_exit_code(137);
  ASSERT_TRUE(store_->PutContainer(container).ok());
  Open();
  const absl::StatusOr<Records> records = store_->Load();
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->pods.size(), 1u);
  EXPECT_EQ(records->pods[0].SerializeAsString(), pod.SerializeAsString());
  ASSERT_EQ(records->containers.size(), 1u);
  EXPECT_EQ(records->containers[0].SerializeAsString(),
            container.SerializeAsString());
  EXPECT_THAT(Leases(), UnorderedElementsAre(std::pair(65536, 65536),
                                             std::pair(131072, 1)));
}

TEST_F(StoreTest, OverlappingLeaseIsRefusedAndNothingOfItIsKept) {
  ASSERT_TRUE(store_->AddPod(Pod("a"), {{100, 10}}).ok());
  for (const Lease lease : {Lease{100, 10}, Lease{109, 1}, Lease{91, 10},
                            Lease{0, 4294967295}, Lease{105, 2}}) {
    const absl::Status status =
        store_->AddPod(Pod("b"), {{1000000000, 5}, lease});
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << lease.start;
    EXPECT_THAT(std::string(status.message()), HasSubstr("pod a"));
    EXPECT_THAT(PodIds(), ElementsAre("a"));
    EXPECT_THAT(Leases(), ElementsAre(std::pair(100, 10)));
  }
}

TEST_F(StoreTest, NeighbouringLeasesAreDistinct) {
  ASSERT_TRUE(store_->AddPod(Pod("a"), {{100, 10}}).ok());
  EXPECT_TRUE(store_->AddPod(Pod("b"), {{110, 10}}).ok());
  EXPECT_TRUE(store_->AddPod(Pod("c"), {{90, 10}}).ok());
  EXPECT_TRUE(store_->AddPod(Pod("d"), {{4294901760, 65535}}).ok());
  EXPECT_EQ(Leases().size(), 4u);
}

TEST_F(StoreTest, PodOfTheSameIdIsRefusedWithItsLeases) {
  ASSERT_TRUE(store_->AddPod(Pod("a"), {{100, 10}}).ok());
  EXPECT_EQ(store_->AddPod(Pod("a"), {{200, 10}}).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Leases(), ElementsAre(std::pair(100, 10)));
  // The failure left no transaction open.
  EXPECT_TRUE(store_->AddPod(Pod("b"), {{200, 10}}).ok());
}

TEST_F(StoreTest, LeasesGoWithTheirPod) {
  ASSERT_TRUE(store_->AddPod(Pod("a"), {{100, 10}, {200, 10}}).ok());
  ASSERT_TRUE(store_->AddPod(Pod("b"), {{300, 10}}).ok());
  ASSERT_TRUE(store_->RemovePod("a").ok());
  ASSERT_TRUE(store_->RemovePod("a").ok());
  EXPECT_THAT(Leases(), ElementsAre(std::pair(300, 10)));
  EXPECT_THAT(PodIds(), ElementsAre("b"));
  EXPECT_TRUE(store_->AddPod(Pod("c"), {{100, 110}}).ok());
}

TEST_F(StoreTest, UpdateChangesTheRecordAndKeepsTheLeases) {
  state::v1::PodRecord pod = Pod("a");
  ASSERT_TRUE(store_->AddPod(pod, {{100, 10}}).ok());
  pod.set_state(state::v1::PodRecord::STOPPED);
  ASSERT_TRUE(store_->UpdatePod(pod).ok());
  EXPECT_EQ(store_->Load()->pods[0].state(), state::v1::PodRecord::STOPPED);
  EXPECT_EQ(Leases().size(), 1u);
}

TEST_F(StoreTest, IdsAreTextAndNoSql) {
  const std::string id = "'; DELETE FROM pods; --";
  ASSERT_TRUE(store_->AddPod(Pod("a"), {}).ok());
  ASSERT_TRUE(store_->AddPod(Pod(id), {{1, 1}}).ok());
  ASSERT_TRUE(store_->RemovePod(id).ok());
  EXPECT_THAT(PodIds(), ElementsAre("a"));
}

TEST_F(StoreTest, DamagedRecordIsSetAsideOnceAndTheOthersLoad) {
  ASSERT_TRUE(store_->AddPod(Pod("bad"), {{100, 10}}).ok());
  ASSERT_TRUE(store_->AddPod(Pod("good"), {{200, 10}}).ok());
  ASSERT_TRUE(store_->AddPod(Pod("swapped"), {}).ok());
  state::v1::ContainerRecord container;
  container.set_id("c");
  ASSERT_TRUE(store_->PutContainer(container).ok());
  // The open store holds a lock.
  store_.reset();
  Run("UPDATE pods SET record = x'ffffffff' WHERE id = 'bad'");
  Run("UPDATE pods SET record = (SELECT record FROM pods WHERE id = 'good') "
      "WHERE id = 'swapped'");
  Run("UPDATE containers SET record = x'0a' WHERE id = 'c'");
  Open();
  EXPECT_THAT(PodIds(), ElementsAre("good"));
  EXPECT_THAT(store_->Load()->containers, IsEmpty());
  EXPECT_THAT(store_->Load()->damaged_pods,
              UnorderedElementsAre("bad", "swapped"));
  EXPECT_THAT(store_->Load()->damaged_containers, ElementsAre("c"));
  // Its processes may still have those ids.
  EXPECT_EQ(Leases().size(), 2u);
  EXPECT_FALSE(store_->AddPod(Pod("new"), {{100, 10}}).ok());
  store_.reset();
  EXPECT_EQ(Count("SELECT count(*) FROM damaged"), 3);
  EXPECT_EQ(Count("SELECT count(*) FROM damaged WHERE kind = 'pods' AND id = "
                  "'bad' AND record = x'ffffffff'"),
            1);
}

// What is left of it can be stopped and removed, and until then its ids are
// nobody else's.
TEST_F(StoreTest, DamagedPodKeepsItsContainersAndLeasesUntilForgotten) {
  ASSERT_TRUE(store_->AddPod(Pod("bad"), {{100, 10}}).ok());
  ASSERT_TRUE(store_->AddPod(Pod("good"), {{200, 10}}).ok());
  state::v1::ContainerRecord container;
  container.set_id("c");
  container.set_pod_id("bad");
  ASSERT_TRUE(store_->PutContainer(container).ok());
  store_.reset();
  Run("UPDATE pods SET record = x'ffffffff' WHERE id = 'bad'");
  // Found at the first start, and known at the next ones.
  for (int start = 0; start < 3; ++start) {
    Open();
    const absl::StatusOr<Records> records = store_->Load();
    ASSERT_TRUE(records.ok()) << records.status();
    EXPECT_THAT(records->damaged_pods, ElementsAre("bad"));
    ASSERT_EQ(records->containers.size(), 1u);
    EXPECT_EQ(records->containers[0].pod_id(), "bad");
    ASSERT_EQ(records->leases.size(), 2u);
    EXPECT_THAT((std::vector<std::string>{records->leases[0].pod,
                                          records->leases[1].pod}),
                UnorderedElementsAre("bad", "good"));
    EXPECT_FALSE(store_->AddPod(Pod("new"), {{105, 1}}).ok());
  }
  ASSERT_TRUE(store_->ForgetDamaged("bad").ok());
  ASSERT_TRUE(store_->ForgetDamaged("good").ok());
  EXPECT_THAT(store_->Load()->damaged_pods, IsEmpty());
  EXPECT_THAT(Leases(), ElementsAre(std::pair(200, 10)));
  EXPECT_TRUE(store_->AddPod(Pod("new"), {{105, 1}}).ok());
  store_.reset();
  // The bytes are there to be looked at.
  EXPECT_EQ(Count("SELECT count(*) FROM damaged WHERE id = 'bad'"), 1);
}

TEST_F(StoreTest, UpdateOfWhatIsNotThereIsAnError) {
  EXPECT_TRUE(absl::IsNotFound(store_->UpdatePod(Pod("none"))));
  ASSERT_TRUE(store_->AddPod(Pod("a"), {}).ok());
  ASSERT_TRUE(store_->RemovePod("a").ok());
  EXPECT_TRUE(absl::IsNotFound(store_->UpdatePod(Pod("a"))));
  EXPECT_THAT(PodIds(), IsEmpty());
}

TEST_F(StoreTest, FileOfANewerDaemonIsRefusedAndKept) {
  ASSERT_TRUE(store_->AddPod(Pod("a"), {}).ok());
  store_.reset();
  Run("PRAGMA user_version = 2");
  const absl::Status status = Store::Open(path_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("newer caissond"));
  EXPECT_EQ(Count("SELECT count(*) FROM pods"), 1);
}

TEST_F(StoreTest, FileOfTheVersionBeforeIsRead) {
  ASSERT_TRUE(store_->AddPod(Pod("a"), {{100, 10}}).ok());
  store_.reset();
  Run("DROP TABLE meta; PRAGMA user_version = 0");
  Open();
  EXPECT_THAT(PodIds(), ElementsAre("a"));
  EXPECT_EQ(Leases().size(), 1u);
}

// As of a full disk: what can't be written is an error, and nothing of it is
// kept, not even a transaction.
TEST_F(StoreTest, GoesOnAfterAChangeThatCouldNotBeWritten) {
  ASSERT_TRUE(store_->AddPod(Pod("a"), {{100, 10}}).ok());
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto ignored = signal(SIGXFSZ, SIG_IGN);
  const rlimit none = {1, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &none);
  EXPECT_FALSE(store_->AddPod(Pod("b"), {{200, 10}}).ok());
  EXPECT_FALSE(store_->RemovePod("a").ok());
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, ignored);
  EXPECT_TRUE(store_->AddPod(Pod("c"), {{200, 10}}).ok());
  EXPECT_THAT(PodIds(), UnorderedElementsAre("a", "c"));
  EXPECT_EQ(Leases().size(), 2u);
}

TEST_F(StoreTest, FileThatIsNoDatabaseIsSetAside) {
  EXPECT_EQ(store_->Load()->set_aside, "");
  store_.reset();
  std::filesystem::remove(path_ + "-wal");
  std::ofstream(path_) << std::string(8192, 'x');
  Open();
  EXPECT_THAT(PodIds(), IsEmpty());
  // Also for a start after one that did not come to take all down.
  EXPECT_THAT(store_->Load()->set_aside, HasSubstr(path_ + ".damaged-"));
  Open();
  EXPECT_THAT(store_->Load()->set_aside, HasSubstr(path_ + ".damaged-"));
  ASSERT_TRUE(store_->ForgetSetAside().ok());
  Open();
  EXPECT_EQ(store_->Load()->set_aside, "");
  size_t damaged = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(directory_.path())) {
    damaged +=
        entry.path().string().find(".damaged-") == std::string::npos ? 0 : 1;
  }
  EXPECT_EQ(damaged, 1u);
  EXPECT_TRUE(store_->AddPod(Pod("a"), {{1, 1}}).ok());
}

TEST_F(StoreTest, ThreadsThatWantTheSameRangeGetItOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> got = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i, &got] {
      for (uint32_t slot = 0; slot < 20; ++slot) {
        const std::string id = std::to_string(i) + "-" + std::to_string(slot);
        got += store_->AddPod(Pod(id), {{slot * 65536, 65536}}).ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(got, 20);
  EXPECT_EQ(Leases().size(), 20u);
  EXPECT_EQ(PodIds().size(), 20u);
}

}  // namespace
}  // namespace caisson::store
