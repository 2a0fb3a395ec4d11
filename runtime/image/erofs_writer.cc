#include "runtime/image/erofs_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/image/erofs_format.h"

namespace caisson::image {
namespace {

using erofs::kBlockBytes;
using erofs::kSlotBytes;

constexpr size_t kBufferBytes = 1 << 20;
// A longer tail gets a block of its own: with its inode and xattrs it would
// hardly find a place in one.
constexpr size_t kMaxInlineBytes = 3072;

uint64_t RoundUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// How many bytes of a file of `size` stand in blocks; the rest is its tail.
uint64_t WholeBytes(uint64_t size) {
  const uint64_t tail = size % kBlockBytes;
  return tail > kMaxInlineBytes ? size : size - tail;
}

uint8_t TypeOf(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return erofs::kTypeDirectory;
    case S_IFCHR:
      return erofs::kTypeCharacter;
    case S_IFIFO:
      return erofs::kTypeFifo;
    case S_IFLNK:
      return erofs::kTypeSymlink;
    default:
      return erofs::kTypeRegular;
  }
}

// The xattrs of an inode in their inline form, with the header.
std::string EncodeXattrs(const LayerInode& inode) {
  std::string entries;
  for (const auto& [name, value] : inode.xattrs) {
    erofs::XattrEntry entry = {};
    absl::string_view rest = name;
    if (absl::StartsWith(rest, "user.")) {
      entry.name_index = erofs::kXattrUser;
    } else if (absl::StartsWith(rest, "trusted.")) {
      entry.name_index = erofs::kXattrTrusted;
    } else {
      entry.name_index = erofs::kXattrSecurity;
    }
    rest.remove_prefix(rest.find('.') + 1);
    entry.name_length = static_cast<uint8_t>(rest.size());
    entry.value_length = static_cast<uint16_t>(value.size());
    entries.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
    absl::StrAppend(&entries, rest, value);
    entries.resize(RoundUp(entries.size(), 4));
  }
  return entries.empty()
             ? entries
             : std::string(erofs::kXattrHeaderBytes, '\0') + entries;
}

// A name of a directory, with "." and "..".
struct Name {
  absl::string_view text;
  const LayerInode* inode;
};

std::vector<Name> NamesOf(const LayerNode& node, const LayerInode& parent) {
  std::vector<Name> names;
  names.push_back({".", node.inode.get()});
  names.push_back({"..", &parent});
  for (const auto& [text, child] : node.children) {
    names.push_back({text, child->inode.get()});
  }
  std::sort(names.begin(), names.end(),
            [](const Name& a, const Name& b) { return a.text < b.text; });
  return names;
}

// The directory's data: each block holds its entries, then their names.  The
// numbers of inodes are filled in when `numbered`; the size is the same.
std::string EncodeDirectory(const std::vector<Name>& names) {
  std::string data;
  size_t first = 0;
  while (first < names.size()) {
    size_t used = 0;
    size_t last = first;
    while (last < names.size()) {
      const size_t needed =
          sizeof(erofs::DirectoryEntry) + names[last].text.size();
      if (used + needed > kBlockBytes) {
        break;
      }
      used += needed;
      ++last;
    }
    // Names of a block that isn't the last are told apart by its end.
    data.resize(RoundUp(data.size(), kBlockBytes));
    size_t name_offset = (last - first) * sizeof(erofs::DirectoryEntry);
    std::string texts;
    for (size_t i = first; i < last; ++i) {
      erofs::DirectoryEntry entry = {};
      entry.nid = names[i].inode->nid;
      entry.name_offset = static_cast<uint16_t>(name_offset);
      entry.type = TypeOf(names[i].inode->mode);
      data.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
      absl::StrAppend(&texts, names[i].text);
      name_offset += names[i].text.size();
    }
    data += texts;
    first = last;
  }
  return data;
}

// Lays out and writes the metadata of a tree.
class Metadata {
 public:
  // `first_block`: where directory data that isn't inline may begin.
  explicit Metadata(uint32_t first_block) : next_block_(first_block) {}

  void Place(LayerNode& node, LayerNode& parent);
  std::string EncodeInodes();

  const std::string& directory_blocks() const { return directory_blocks_; }

  uint64_t inodes() const { return placed_.size(); }

 private:
  struct Placed {
    LayerNode* node;
    LayerNode* parent;
  };

  void Count(LayerNode& node, LayerNode& parent);
  void Reserve(LayerInode& inode);
  void EncodeInode(const Placed& placed, std::string& out);
  void SplitDirectory(const Placed& placed);

  uint32_t next_block_;
  // Bytes of the inode area in use; number 0 is left out.
  uint64_t end_ = kSlotBytes;
  std::vector<Placed> placed_;
  std::set<const LayerInode*> seen_;
  std::string directory_blocks_;
};

void Metadata::Count(LayerNode& node, LayerNode& parent) {
  if (node.is_directory()) {
    node.inode->links = 2;
    for (const auto& [name, child] : node.children) {
      if (child->is_directory()) {
        ++node.inode->links;
      }
    }
  } else {
    ++node.inode->links;
  }
  if (seen_.insert(node.inode.get()).second) {
    placed_.push_back({&node, &parent});
  }
}

void Metadata::Place(LayerNode& node, LayerNode& parent) {
  // Breadth first: the root's number has 16 bits only, so it comes first.
  Count(node, parent);
  for (size_t i = 0; i < placed_.size(); ++i) {
    LayerNode& directory = *placed_[i].node;
    for (auto& [name, child] : directory.children) {
      Count(*child, directory);
    }
  }
  for (const Placed& placed : placed_) {
    if (placed.node->is_directory()) {
      SplitDirectory(placed);
    }
    Reserve(*placed.node->inode);
  }
}

// Size, whole blocks and tail of a directory; the content comes later, when
// all numbers are known.
void Metadata::SplitDirectory(const Placed& placed) {
  LayerInode& inode = *placed.node->inode;
  const std::string data =
      EncodeDirectory(NamesOf(*placed.node, *placed.parent->inode));
  inode.size = data.size();
  const uint64_t whole = WholeBytes(data.size());
  inode.first_block = next_block_;
  next_block_ +=
      static_cast<uint32_t>(RoundUp(whole, kBlockBytes) / kBlockBytes);
  inode.tail.assign(data.size() - whole, '\0');
}

void Metadata::Reserve(LayerInode& inode) {
  const uint64_t head = sizeof(erofs::Inode) + EncodeXattrs(inode).size();
  uint64_t start = RoundUp(end_, kSlotBytes);
  // The kernel reads a tail from one block; an inode may cross.
  while (!inode.tail.empty() &&
         (start + head) % kBlockBytes + inode.tail.size() > kBlockBytes) {
    start += kSlotBytes;
  }
  inode.nid = start / kSlotBytes;
  end_ = start + head + inode.tail.size();
}

void Metadata::EncodeInode(const Placed& placed, std::string& out) {
  LayerInode& inode = *placed.node->inode;
  const std::string xattrs = EncodeXattrs(inode);
  if (placed.node->is_directory()) {
    const std::string data =
        EncodeDirectory(NamesOf(*placed.node, *placed.parent->inode));
    const uint64_t whole = WholeBytes(data.size());
    directory_blocks_.append(data, 0, whole);
    directory_blocks_.resize(RoundUp(directory_blocks_.size(), kBlockBytes));
    inode.tail = data.substr(whole);
  }
  erofs::Inode raw = {};
  const auto layout =
      inode.tail.empty() ? erofs::Layout::kPlain : erofs::Layout::kInline;
  raw.format = static_cast<uint16_t>(1 | (static_cast<uint16_t>(layout) << 1));
  raw.xattr_count =
      xattrs.empty() ? uint16_t{0}
                     : static_cast<uint16_t>(
                           (xattrs.size() - erofs::kXattrHeaderBytes) / 4 + 1);
  raw.mode = static_cast<uint16_t>(inode.mode);
  raw.size = inode.size;
  raw.block_or_device = S_ISCHR(inode.mode) || S_ISBLK(inode.mode)
                            ? inode.device
                            : inode.first_block;
  raw.number = static_cast<uint32_t>(inode.nid);
  raw.uid = inode.uid;
  raw.gid = inode.gid;
  raw.mtime = static_cast<uint64_t>(inode.mtime);
  raw.mtime_nanoseconds = inode.mtime_nanoseconds;
  raw.links = inode.links;
  out.resize(inode.nid * kSlotBytes);
  out.append(reinterpret_cast<const char*>(&raw), sizeof(raw));
  absl::StrAppend(&out, xattrs, inode.tail);
}

std::string Metadata::EncodeInodes() {
  std::string out;
  out.reserve(end_);
  for (const Placed& placed : placed_) {
    EncodeInode(placed, out);
  }
  return out;
}

}  // namespace

ErofsWriter::ErofsWriter(int fd)
    : fd_(fd), offset_(kBlockBytes) {  // the superblock has the first block
  buffer_.reserve(kBufferBytes);
}

uint32_t ErofsWriter::next_block() const {
  return static_cast<uint32_t>((offset_ + buffer_.size()) / kBlockBytes);
}

absl::Status ErofsWriter::FlushBuffer() {
  absl::string_view left = buffer_;
  while (!left.empty()) {
    const ssize_t written =
        pwrite(fd_, left.data(), left.size(), static_cast<off_t>(offset_));
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return ErrnoError("write", "layer file");
    }
    offset_ += static_cast<uint64_t>(written);
    left.remove_prefix(static_cast<size_t>(written));
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status ErofsWriter::WriteBytes(absl::string_view bytes) {
  while (!bytes.empty()) {
    const size_t room = kBufferBytes - buffer_.size();
    const size_t part = std::min(room, bytes.size());
    buffer_.append(bytes.data(), part);
    bytes.remove_prefix(part);
    if (buffer_.size() == kBufferBytes) {
      RETURN_IF_ERROR(FlushBuffer());
    }
  }
  return absl::OkStatus();
}

absl::Status ErofsWriter::Append(absl::string_view data) {
  return WriteBytes(data);
}

absl::Status ErofsWriter::EndFile(uint32_t first_block, uint64_t size,
                                  LayerInode& inode) {
  inode.size = size;
  inode.first_block = first_block;
  const size_t tail = size - WholeBytes(size);
  if (tail == 0) {
    return PadToBlock();
  }
  // The buffer is flushed at its full size, a multiple of the block's: the
  // begun block is always in it.
  inode.tail = buffer_.substr(buffer_.size() - tail);
  buffer_.resize(buffer_.size() - tail);
  return absl::OkStatus();
}

absl::Status ErofsWriter::PadToBlock() {
  const uint64_t end = offset_ + buffer_.size();
  return WriteBytes(std::string(RoundUp(end, kBlockBytes) - end, '\0'));
}

absl::StatusOr<uint64_t> ErofsWriter::Finish(LayerTree& tree) {
  Metadata metadata(next_block());
  metadata.Place(tree.root(), tree.root());
  const std::string inodes = metadata.EncodeInodes();
  RETURN_IF_ERROR(WriteBytes(metadata.directory_blocks()));
  const uint32_t meta_block = next_block();
  RETURN_IF_ERROR(WriteBytes(inodes));
  RETURN_IF_ERROR(PadToBlock());
  const uint64_t blocks = next_block();
  RETURN_IF_ERROR(FlushBuffer());
  if (blocks > UINT32_MAX) {
    return absl::ResourceExhaustedError("write layer: larger than 16 TiB");
  }
  erofs::SuperBlock super = {};
  super.magic = erofs::kMagic;
  super.block_bits = erofs::kBlockBits;
  super.root_nid = static_cast<uint16_t>(tree.root().inode->nid);
  super.inodes = metadata.inodes();
  super.blocks = static_cast<uint32_t>(blocks);
  super.meta_block = meta_block;
  std::string first(kBlockBytes, '\0');
  memcpy(first.data() + erofs::kSuperOffset, &super, sizeof(super));
  if (pwrite(fd_, first.data(), first.size(), 0) !=
      static_cast<ssize_t>(first.size())) {
    return ErrnoError("write", "superblock");
  }
  return blocks * kBlockBytes;
}

}  // namespace caisson::image
