#include "runtime/image/layer_tree.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"

namespace caisson::image {
namespace {

constexpr char kOpaqueXattr[] = "trusted.overlay.opaque";

std::shared_ptr<LayerInode> NewDirectory() {
  auto inode = std::make_shared<LayerInode>();
  inode->mode = S_IFDIR | 0755;
  return inode;
}

absl::Status Refuse(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "read layer entry ", absl::CHexEscape(path.substr(0, 256)), ": ", why));
}

}  // namespace

bool LayerInode::is_whiteout() const {
  return S_ISCHR(mode) && device == 0;
}

bool LayerInode::is_opaque() const {
  return xattrs.contains(kOpaqueXattr);
}

void LayerInode::SetOpaque() {
  xattrs[kOpaqueXattr].assign(1, 'y');
}

bool LayerNode::is_directory() const {
  return S_ISDIR(inode->mode);
}

LayerTree::LayerTree() {
  root_.inode = NewDirectory();
}

absl::StatusOr<std::vector<std::string>> LayerTree::Split(
    absl::string_view path) {
  std::vector<std::string> parts;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") {
      continue;
    }
    if (part == "..") {
      return Refuse(path, "a name with ..");
    }
    if (part.size() > kMaxName || parts.size() >= kMaxDepth) {
      return Refuse(path, "a name too long or too deep");
    }
    parts.emplace_back(part);
  }
  return parts;
}

absl::StatusOr<LayerNode*> LayerTree::Put(absl::string_view path,
                                          std::shared_ptr<LayerInode> inode) {
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, Split(path));
  LayerNode* node = &root_;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (node->inode->is_whiteout()) {
      node->inode = NewDirectory();
      node->inode->SetOpaque();
    }
    if (!node->is_directory()) {
      return Refuse(path, "a parent that is no directory");
    }
    std::unique_ptr<LayerNode>& child = node->children[parts[i]];
    if (child == nullptr) {
      child = std::make_unique<LayerNode>();
      child->inode = NewDirectory();
    }
    node = child.get();
  }
  if (!S_ISDIR(inode->mode)) {
    if (parts.empty()) {
      return Refuse(path, "a root that is no directory");
    }
    node->children.clear();
  }
  if (S_ISDIR(inode->mode) &&
      (node->inode->is_whiteout() || node->inode->is_opaque())) {
    inode->SetOpaque();
  }
  node->inode = std::move(inode);
  return node;
}

absl::StatusOr<LayerNode*> LayerTree::Find(absl::string_view path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, Split(path));
  LayerNode* node = &root_;
  for (const std::string& part : parts) {
    const auto found = node->children.find(part);
    if (found == node->children.end()) {
      return absl::NotFoundError(absl::StrCat(
          "find layer entry ", absl::CHexEscape(path.substr(0, 256))));
    }
    node = found->second.get();
  }
  return node;
}

}  // namespace caisson::image
