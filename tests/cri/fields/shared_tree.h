#pragma once

#include <string>

namespace caisson::cri_test {

// A directory of the host that is a shared mount with a tmpfs mounted on its
// directory "below", where the file "seen" is: what a container's copy of it
// could take along when it goes.
class SharedTree {
 public:
  explicit SharedTree(std::string path);
  SharedTree(const SharedTree&) = delete;
  SharedTree& operator=(const SharedTree&) = delete;
  ~SharedTree();

  const std::string& path() const { return path_; }

  // Whether the tmpfs is still there.
  bool IsWhole() const;

 private:
  std::string path_;
};

}  // namespace caisson::cri_test
