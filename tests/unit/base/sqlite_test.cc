#include "runtime/base/sqlite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/machine.h"

namespace caisson::sqlite {
namespace {

using ::testing::HasSubstr;

constexpr Format kFormat = {
    .settings = "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;",
    .schema =
        "CREATE TABLE IF NOT EXISTS a(id INTEGER PRIMARY KEY, b BLOB);"
        "CREATE TABLE IF NOT EXISTS child(parent INTEGER"
        " REFERENCES a(id) DEFERRABLE INITIALLY DEFERRED);",
    .version = 3,
    .oldest = 2,
};

class SqliteTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  absl::Status TryOpen(const Format& format = kFormat) {
    db_.reset();
    auto opened = Database::OpenOrSetAside(path_, format);
    if (!opened.ok()) {
      return opened.status();
    }
    db_ = *std::move(opened);
    return absl::OkStatus();
  }

  void Open() {
    const absl::Status status = TryOpen();
    ASSERT_TRUE(status.ok()) << status;
  }

  int64_t Number(const char* sql) {
    auto select = db_->Prepare(sql);
    EXPECT_TRUE(select.ok()) << select.status();
    const auto row = select->Step();
    return row.ok() && *row ? select->Int(0) : -1;
  }

  bool HasTransaction() { return !db_->Execute("BEGIN; ROLLBACK").ok(); }

  ::caisson::testing::TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/test.db";
  std::unique_ptr<Database> db_;
};

TEST_F(SqliteTest, GivesBackWhatWasBound) {
  {
    auto insert = db_->Prepare("INSERT INTO a VALUES(?1, ?2)");
    ASSERT_TRUE(insert.ok()) << insert.status();
    insert->BindInt(1, -7);
    insert->BindBlob(2, absl::string_view("\0\xff", 2));
    const auto changed = insert->Run();
    ASSERT_TRUE(changed.ok()) << changed.status();
    EXPECT_EQ(*changed, 1);
  }
  {
    auto insert = db_->Prepare("INSERT INTO a VALUES(?1, ?2)");
    // Nothing is left of the values of the use before.
    insert->BindInt(1, 8);
    ASSERT_TRUE(insert->Run().ok());
  }
  auto select = db_->Prepare("SELECT id, b FROM a ORDER BY id");
  ASSERT_TRUE(*select->Step());
  EXPECT_EQ(select->Int(0), -7);
  EXPECT_EQ(select->Bytes(1), std::string("\0\xff", 2));
  EXPECT_FALSE(select->IsNull(1));
  ASSERT_TRUE(*select->Step());
  EXPECT_TRUE(select->IsNull(1));
  EXPECT_FALSE(*select->Step());
}

TEST_F(SqliteTest, EmptyIsNotNull) {
  auto insert = db_->Prepare("INSERT INTO a VALUES(1, ?)");
  insert->BindBlob(1, absl::string_view());
  ASSERT_TRUE(insert->Run().ok());
  EXPECT_EQ(Number("SELECT b IS NULL FROM a"), 0);
}

TEST_F(SqliteTest, TheSameStatementCanBeInUseTwice) {
  ASSERT_TRUE(db_->Execute("INSERT INTO a VALUES(1, 'x'), (2, 'y')").ok());
  auto one = db_->Prepare("SELECT id FROM a ORDER BY id");
  auto other = db_->Prepare("SELECT id FROM a ORDER BY id");
  ASSERT_TRUE(*one->Step());
  ASSERT_TRUE(*one->Step());
  ASSERT_TRUE(*other->Step());
  EXPECT_EQ(one->Int(0), 2);
  EXPECT_EQ(other->Int(0), 1);
}

TEST_F(SqliteTest, WrongParameterIsAnError) {
  auto insert = db_->Prepare("INSERT INTO a VALUES(1, ?)");
  insert->BindInt(2, 7);
  EXPECT_FALSE(insert->Run().ok());
  EXPECT_FALSE(db_->Prepare("SELECT nothing").ok());
}

TEST_F(SqliteTest, AFailedCommitLeavesNoTransaction) {
  const absl::Status status = db_->Transact(
      [&] { return db_->Execute("INSERT INTO child VALUES(7)"); });
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_FALSE(HasTransaction());
  EXPECT_EQ(Number("SELECT count(*) FROM child"), 0);
}

TEST_F(SqliteTest, FailedWorkLeavesNothing) {
  const absl::Status status = db_->Transact([&]() -> absl::Status {
    EXPECT_TRUE(db_->Execute("INSERT INTO a VALUES(1, 'x')").ok());
    return absl::AbortedError("enough");
  });
  EXPECT_EQ(status, absl::AbortedError("enough"));
  EXPECT_FALSE(HasTransaction());
  EXPECT_EQ(Number("SELECT count(*) FROM a"), 0);
}

TEST_F(SqliteTest, ANewerFileIsRefusedAndKept) {
  ASSERT_TRUE(db_->Execute("INSERT INTO a VALUES(1, 'x')").ok());
  ASSERT_TRUE(db_->Execute("PRAGMA user_version = 4").ok());
  const absl::Status status = TryOpen();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 4"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  Format newer = kFormat;
  newer.version = 4;
  ASSERT_TRUE(TryOpen(newer).ok());
  EXPECT_EQ(Number("SELECT count(*) FROM a"), 1);
}

TEST_F(SqliteTest, TheVersionBeforeIsReadAndOlderOnesAreSetAside) {
  ASSERT_TRUE(db_->Execute("INSERT INTO a VALUES(1, 'x')").ok());
  ASSERT_TRUE(db_->Execute("PRAGMA user_version = 2").ok());
  Open();
  EXPECT_EQ(Number("SELECT count(*) FROM a"), 1);
  EXPECT_EQ(Number("PRAGMA user_version"), 3);
  EXPECT_EQ(db_->set_aside(), "");
  ASSERT_TRUE(db_->Execute("PRAGMA user_version = 1").ok());
  Open();
  EXPECT_EQ(Number("SELECT count(*) FROM a"), 0);
  EXPECT_THAT(db_->set_aside(), HasSubstr(path_ + ".damaged-"));
  EXPECT_TRUE(std::filesystem::exists(db_->set_aside()));
}

TEST_F(SqliteTest, WhatIsNoDatabaseIsSetAside) {
  db_.reset();
  std::ofstream(path_) << std::string(8192, 'x');
  EXPECT_TRUE(absl::IsDataLoss(Database::Open(path_, kFormat).status()));
  Open();
  EXPECT_NE(db_->set_aside(), "");
}

}  // namespace
}  // namespace caisson::sqlite
