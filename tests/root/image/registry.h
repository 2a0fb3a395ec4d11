#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/image_store.h"
#include "tests/support/machine.h"

namespace caisson::image {

// Debian's docker-registry on a free port of loopback.
class Registry {
 public:
  // Over the blobs below `storage`; `options` are more lines of its
  // configuration.
  Registry(const std::string& storage, const std::string& options);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  // "127.0.0.1:PORT".
  const std::string& address() const { return address_; }

 private:
  std::string address_;
  pid_t pid_ = 0;
};

// A registry and an image store, both empty.
class ImageTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // (Re)opens the store; an open one is closed first.
  void OpenStore();

  // Within a minute, with nobody to cancel it.
  absl::StatusOr<std::string> Pull(const std::string& reference,
                                   const Credentials& credentials = {});

  // Makes a tar of shell commands run in an empty directory; its path.
  std::string MakeLayer(const std::string& name, const std::string& commands);
  // Pushes to the registry; `options` are those of push_image.py.  The digest
  // that the name has got.
  std::string Push(const std::string& name,
                   const std::vector<std::string>& layers,
                   const std::string& options);
  // "127.0.0.1:PORT/NAME".
  std::string At(const std::string& name) const;
  // The registry's file of a blob.
  std::string BlobFile(const std::string& digest) const;
  // Sends pulls from `registry` to `url`.
  void Redirect(const std::string& registry, const std::string& url);

  int LayerFiles() const;
  int StagingFiles() const;
  int Mounts() const;
  // Children of this process that fetch.
  int Pullers() const;

  caisson::testing::TemporaryDirectory directory_;
  std::unique_ptr<Registry> registry_;
  // What OpenStore() adds the folders to.
  ImageStore::Options options_;
  std::unique_ptr<ImageStore> store_;
};

// A socket that listens on loopback and never answers.
class SilentServer {
 public:
  SilentServer();

  const std::string& url() const { return url_; }

  // Resets what is connected.
  void Close() { socket_.reset(); }

 private:
  UniqueFd socket_;
  std::string url_;
};

}  // namespace caisson::image
