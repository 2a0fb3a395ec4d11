#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "runtime/network/cni.h"

namespace caisson::network {

// Plugins are small scripts that write down how they were called.
class PluginScripts : public ::testing::Test {
 protected:
  PluginScripts() {
    std::string name = testing::TempDir() + "/cniXXXXXX";
    root_ = mkdtemp(name.data());
    for (const char* folder : {"/conf", "/bin"}) {
      std::filesystem::create_directory(root_ + folder);
    }
    options_.conf_dir = root_ + "/conf";
    options_.bin_dirs = {root_ + "/nowhere", root_ + "/bin"};
    options_.cache_dir = root_ + "/cache/cni";
    options_.timeout = absl::Seconds(20);
    deadline_ = Deadline::After(absl::Seconds(60));
    pod_.pod_id = "pod1";
    pod_.pod_name = "web";
    pod_.netns_path = "/proc/self/ns/net";
  }

  ~PluginScripts() override {
    std::error_code error;
    std::filesystem::remove_all(root_, error);
  }

  void Configure(const std::string& text) {
    std::ofstream(root_ + "/conf/10-test.conflist") << text;
  }

  void ConfigureTwo() {
    Configure(R"({"name": "net", "cniVersion": "1.0.0",
                  "plugins": [{"type": "one"}, {"type": "two"}]})");
  }

  // Logs "name COMMAND has-previous-result" and runs `body`.
  void Plugin(const std::string& name, const std::string& body) {
    const std::string path = root_ + "/bin/" + name;
    std::ofstream(path) << "#!/bin/sh\ninput=$(cat)\n"
                        << "case $input in *prevResult*) p=1;; *) p=0;; esac\n"
                        << "echo " << name << " $CNI_COMMAND $p >> " << root_
                        << "/calls\n"
                        << body << "\n";
    chmod(path.c_str(), 0755);
  }

  std::string Calls() {
    std::ifstream in(root_ + "/calls");
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  bool HasCache() { return std::filesystem::exists(Cache()); }

  std::string Cache() { return options_.cache_dir + "/pod1.json"; }

  static constexpr char kResult[] =
      R"(echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.7/16"}]}')";

  std::string root_;
  Cni::Options options_;
  Attachment pod_;
  Deadline deadline_;
};

}  // namespace caisson::network
