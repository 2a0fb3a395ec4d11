#include "runtime/base/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "tests/support/machine.h"

namespace caisson {
namespace {

using ::caisson::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

auto Entry(const char* name, unsigned char type) {
  return AllOf(Field(&DirectoryEntry::name, name),
               Field(&DirectoryEntry::type, type));
}

TEST(DirectoryTest, ListsAllButItselfAndItsParent) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() + "/..file") << "x";
  std::filesystem::create_directory(directory.path() + "/sub");
  std::filesystem::create_symlink("nowhere", directory.path() + "/link");
  const auto entries = ListDirectory(directory.path());
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_THAT(*entries, UnorderedElementsAre(Entry("..file", DT_REG),
                                             Entry("sub", DT_DIR),
                                             Entry("link", DT_LNK)));
  EXPECT_THAT(*ListDirectory(directory.path() + "/sub"), IsEmpty());
}

TEST(DirectoryTest, SaysWhyItCannot) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(
      absl::IsNotFound(ListDirectory(directory.path() + "/none").status()));
  std::ofstream(directory.path() + "/file") << "x";
  const absl::Status status =
      ListDirectory(directory.path() + "/file").status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr(directory.path() + "/file"));
}

TEST(DirectoryTest, VisitsByAnFdThatCannotRead) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() + "/a") << "x";
  const UniqueFd fd(open(directory.path().c_str(), O_PATH | O_CLOEXEC));
  std::vector<std::string> names;
  // Twice: the fd has no position to lose.
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(VisitDirectory(fd.get(), [&](const DirectoryEntry& entry) {
                  names.push_back(entry.name);
                  return absl::OkStatus();
                }).ok());
  }
  EXPECT_THAT(names, ::testing::ElementsAre("a", "a"));
}

TEST(DirectoryTest, EndsWithTheFirstError) {
  const TemporaryDirectory directory;
  for (const char* name : {"/a", "/b", "/c"}) {
    std::ofstream(directory.path() + name) << "x";
  }
  const UniqueFd fd(open(directory.path().c_str(), O_PATH | O_CLOEXEC));
  int visits = 0;
  const absl::Status status =
      VisitDirectory(fd.get(), [&](const DirectoryEntry&) {
        return ++visits < 2 ? absl::OkStatus() : absl::AbortedError("enough");
      });
  EXPECT_EQ(status, absl::AbortedError("enough"));
  EXPECT_EQ(visits, 2);
}

}  // namespace
}  // namespace caisson
