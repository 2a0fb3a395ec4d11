#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::image {

// An inode of a layer, as the tar stream describes it.
struct LayerInode {
  uint32_t mode = 0;  // type and permission bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;  // seconds since the epoch
  uint32_t mtime_nanoseconds = 0;
  uint32_t device = 0;
  uint64_t size = 0;
  // Regular files: first block of the whole blocks, and what is behind them.
  uint32_t first_block = 0;
  std::string tail;  // also the target of a symlink
  // Full name -> value.
  std::map<std::string, std::string> xattrs;

  // Set by the writer.
  uint32_t links = 0;
  uint64_t nid = 0;

  // A whiteout of overlayfs: nothing of that name is seen of the layers below.
  bool is_whiteout() const;
  // A directory of which the layers below show nothing.
  bool is_opaque() const;
  void SetOpaque();
};

struct LayerNode;
using LayerChildren = std::map<std::string, std::unique_ptr<LayerNode>>;

// A name in a directory of the layer; several nodes share a hard-linked inode.
struct LayerNode {
  std::shared_ptr<LayerInode> inode;
  LayerChildren children;  // of a directory, by name in byte order

  bool is_directory() const;
};

// The tree that one layer's tar stream describes.  Names of the stream are
// only ever keys of these maps: no path of the host is made of one.
class LayerTree {
 public:
  static constexpr size_t kMaxName = 255;
  static constexpr size_t kMaxDepth = 1024;

  LayerTree();

  // Puts a node at `path`, creating missing parents (0755, root).  What was
  // there is replaced, but a directory over a directory keeps its children, and
  // one over a whiteout or an opaque directory is opaque, whichever of the two
  // came first.
  // InvalidArgument for "..", an overlong name or depth, or a parent that is
  // no directory.
  absl::StatusOr<LayerNode*> Put(absl::string_view path,
                                 std::shared_ptr<LayerInode> inode);

  // The node at `path`; NotFound.
  absl::StatusOr<LayerNode*> Find(absl::string_view path);

  LayerNode& root() { return root_; }

 private:
  static absl::StatusOr<std::vector<std::string>> Split(absl::string_view path);

  LayerNode root_;
};

}  // namespace caisson::image
