#include "runtime/device/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace caisson::device {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() {
    std::string name = testing::TempDir() + "/cdiXXXXXX";
    root_ = mkdtemp(name.data());
    for (const char* folder : {"/low", "/high"}) {
      std::filesystem::create_directory(root_ + folder);
    }
    registry_ = std::make_unique<Registry>(std::vector<std::string>{
        root_ + "/low", root_ + "/none", root_ + "/high"});
  }

  ~RegistryTest() override {
    std::error_code error;
    std::filesystem::remove_all(root_, error);
  }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(root_ + "/" + name) << text;
  }

  // A spec of one device.
  static std::string Spec(const std::string& device, const std::string& edits,
                          const std::string& common = "{}") {
    return absl::StrCat(R"({"cdiVersion": "1.1.0", "kind": "v.com/c",
        "containerEdits": )",
                        common, R"(, "devices": [{"name": ")", device,
                        R"(", "containerEdits": )", edits, "}]}");
  }

  static std::string Env(const std::string& variable) {
    return absl::StrCat(R"({"env": [")", variable, R"("]})");
  }

  std::vector<std::string> EnvOf(const std::vector<std::string>& names) {
    const absl::StatusOr<Edits> edits = registry_->Resolve(names);
    EXPECT_TRUE(edits.ok()) << edits.status();
    return edits.ok() ? edits->env : std::vector<std::string>();
  }

  std::string ErrorOf(const std::string& name) {
    const absl::Status status = registry_->Resolve({name}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    return std::string(status.message());
  }

  std::string root_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(RegistryTest, EditsComeInTheOrderAskedForCommonOnesOnce) {
  Write("low/a.json", R"({"cdiVersion": "0.5.0", "kind": "v.com/c",
      "containerEdits": {"env": ["COMMON=1"]}, "devices": [
      {"name": "a", "containerEdits": {"env": ["A=1"]}},
      {"name": "b", "containerEdits": {"env": ["B=1"]}}]})");
  Write("low/b.yaml",
        "cdiVersion: 0.5.0\nkind: other.com/c\ndevices:\n"
        "- name: a\n  containerEdits: {env: [OTHER=1]}\n");
  EXPECT_THAT(EnvOf({"v.com/c=b", "other.com/c=a", "v.com/c=a"}),
              ElementsAre("COMMON=1", "B=1", "OTHER=1", "A=1"));
}

TEST_F(RegistryTest, LaterDirectoriesWinOverEarlierOnes) {
  Write("low/a.json", Spec("a", Env("FROM=low")));
  EXPECT_THAT(EnvOf({"v.com/c=a"}), ElementsAre("FROM=low"));
  Write("high/a.json", Spec("a", Env("FROM=high")));
  EXPECT_THAT(EnvOf({"v.com/c=a"}), ElementsAre("FROM=high"));
  std::filesystem::remove(root_ + "/high/a.json");
  EXPECT_THAT(EnvOf({"v.com/c=a"}), ElementsAre("FROM=low"));
}

TEST_F(RegistryTest, TwoOfOneDirectoryConflict) {
  Write("low/a.json", Spec("a", Env("A=1")));
  Write("low/b.json", Spec("a", Env("B=1")));
  Write("low/c.json", Spec("c", Env("C=1")));
  EXPECT_THAT(ErrorOf("v.com/c=a"),
              AllOf(HasSubstr("/low/a.json"), HasSubstr("/low/b.json")));
  EXPECT_THAT(EnvOf({"v.com/c=c"}), ElementsAre("C=1"));
  // A directory above has the last word.
  Write("high/a.json", Spec("a", Env("HIGH=1")));
  EXPECT_THAT(EnvOf({"v.com/c=a"}), ElementsAre("HIGH=1"));
}

TEST_F(RegistryTest, AFileThatChangedIsReadAgain) {
  Write("low/a.json", Spec("a", Env("N=1")));
  EXPECT_THAT(EnvOf({"v.com/c=a"}), ElementsAre("N=1"));
  Write("low/a.json", Spec("a", Env("N=two")));
  EXPECT_THAT(EnvOf({"v.com/c=a"}), ElementsAre("N=two"));
}

TEST_F(RegistryTest, AnUnknownDeviceIsNamedWithTheDirectories) {
  Write("low/broken.json", "{");
  EXPECT_THAT(ErrorOf("v.com/c=a"),
              AllOf(HasSubstr("v.com/c=a"), HasSubstr("/low, "),
                    HasSubstr("/high defines it"), HasSubstr("broken.json")));
  EXPECT_EQ(registry_->Resolve({"nonsense"}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RegistryTest, ABrokenFileSpoilsNoOther) {
  Write("low/a.yaml", "a: [\n");
  Write("low/b.json", Spec("a", Env("A=1")));
  // No names of specs.
  Write("low/b.yml", Spec("a", Env("B=1")));
  Write("low/b.json.old", Spec("a", Env("B=1")));
  mkfifo((root_ + "/low/c.json").c_str(), 0600);
  std::filesystem::create_directory(root_ + "/low/d.json");
  EXPECT_THAT(EnvOf({"v.com/c=a"}), ElementsAre("A=1"));
}

TEST_F(RegistryTest, FilesAreRootsAndOfABoundedSize) {
  const std::string path = root_ + "/low/a.json";
  Write("low/a.json", Spec("a", Env("A=1")));
  chmod(path.c_str(), 0666);
  EXPECT_THAT(ErrorOf("v.com/c=a"), HasSubstr("others than root may write"));
  chmod(path.c_str(), 0644);
  EXPECT_THAT(EnvOf({"v.com/c=a"}), ElementsAre("A=1"));
  Write("low/a.json", Spec("a", Env("A=1")) + std::string(1 << 20, ' '));
  EXPECT_THAT(ErrorOf("v.com/c=a"), HasSubstr("larger than 1 MiB"));
}

TEST_F(RegistryTest, WhatCannotBeHadIsRefusedByName) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"netDevices": [{"hostInterfaceName": "eth7", "name": "a"}]})",
       "network device eth7"},
      {R"({"intelRdt": {"closID": "x"}})", "intelRdt"},
      {R"({"deviceNodes": [{"path": "/dev/f", "type": "p"}]})", "FIFO"},
  };
  for (const auto& [edits, because] : rows) {
    Write("low/a.json", Spec("a", edits));
    EXPECT_THAT(ErrorOf("v.com/c=a"),
                AllOf(HasSubstr("v.com/c=a"), HasSubstr("/low/a.json"),
                      HasSubstr(because)));
    // Of the whole spec's as well.
    Write("low/a.json", Spec("a", Env("A=1"), edits));
    EXPECT_THAT(ErrorOf("v.com/c=a"), HasSubstr(because));
  }
}

}  // namespace
}  // namespace caisson::device
