#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/cri/fields/fields_fixture.h"

namespace caisson::cri_test {

// Writes a spec with one device, test.com/card=0, and the hooks it names.
class CdiFieldsTest : public FieldsTest {
 protected:
  void SetUp() override {
    FieldsTest::SetUp();
    std::filesystem::create_directory(directory_ + "/hooks");
  }

  void TearDown() override {
    FieldsTest::TearDown();
    std::error_code error;
    std::filesystem::remove(directory_ + "/cdi/test.yaml", error);
    std::filesystem::remove_all(directory_ + "/hooks", error);
  }

  // The edits of the one device, test.com/card=0, as lines of YAML.
  void Spec(const std::string& edits) {
    std::string text =
        "cdiVersion: 1.1.0\nkind: test.com/card\ndevices:\n"
        "- name: \"0\"\n  containerEdits:\n";
    for (const absl::string_view line : absl::StrSplit(edits, '\n')) {
      absl::StrAppend(&text, "    ", line, "\n");
    }
    std::ofstream(directory_ + "/cdi/test.yaml") << text;
  }

  // A hook of the spec: a script of this host, DIR standing for the directory
  // of what it leaves.
  std::string Hook(const std::string& moment, const std::string& script,
                   const std::string& more = "") {
    const std::string path = directory_ + "/hooks/" + moment;
    std::ofstream(path) << "#!/bin/sh\n"
                        << absl::StrReplaceAll(script,
                                               {{"DIR", directory_ + "/hooks"}})
                        << "\n";
    chmod(path.c_str(), 0755);
    return absl::StrCat("- hookName: ", moment, "\n  path: ", path,
                        "\n  args: [", moment, "]\n", more);
  }

  std::string Dumped(const std::string& name) {
    const std::ifstream file(directory_ + "/hooks/" + name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  // A directory that everybody in a container may write to, and what was left
  // there.
  std::string Writable() {
    const std::string path = directory_ + "/hooks/writable";
    std::filesystem::create_directory(path);
    chmod(path.c_str(), 0777);
    return path;
  }

  std::string Left(const std::string& name) {
    return Dumped("writable/" + name);
  }

  // Lines of the host's mount table about what hooks of these tests mount.
  static std::vector<std::string> HostMounts() {
    std::vector<std::string> lines;
    std::ifstream table("/proc/self/mountinfo");
    for (std::string line; std::getline(table, line);) {
      if (absl::StrContains(line, "/rootfs") ||
          absl::StrContains(line, " /mnt ")) {
        lines.push_back(line);
      }
    }
    return lines;
  }

  static void Ask(cri::ContainerConfig& config) {
    config.add_cdi_devices()->set_name("test.com/card=0");
  }
};

}  // namespace caisson::cri_test
