#include "tests/cri/fields/shared_tree.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

namespace caisson::cri_test {

SharedTree::SharedTree(std::string path) : path_(std::move(path)) {
  const std::string below = path_ + "/below";
  std::filesystem::create_directories(below);
  EXPECT_EQ(
      mount(path_.c_str(), path_.c_str(), nullptr, MS_BIND | MS_REC, nullptr),
      0);
  EXPECT_EQ(mount(nullptr, path_.c_str(), nullptr, MS_SHARED, nullptr), 0);
  EXPECT_EQ(mount("below", below.c_str(), "tmpfs", 0, nullptr), 0);
  std::ofstream(below + "/seen") << "yes";
}

SharedTree::~SharedTree() {
  umount2((path_ + "/below").c_str(), MNT_DETACH);
  umount2(path_.c_str(), MNT_DETACH);
}

bool SharedTree::IsWhole() const {
  return std::filesystem::exists(path_ + "/below/seen");
}

}  // namespace caisson::cri_test
