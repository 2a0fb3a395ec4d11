#include "tests/unit/layer/erofs_reader.h"

#include <sys/stat.h>

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::image {
namespace {

constexpr uint64_t kBlock = 4096;

// The numbers below are offsets of Documentation/filesystems/erofs.rst, not
// the writer's structures: an error of those must show.
class Reader {
 public:
  explicit Reader(absl::string_view image) : image_(image) {}

  absl::Status ReadTree(uint64_t nid, uint64_t parent, const std::string& path);

  absl::StatusOr<uint64_t> ReadSuper() {
    ASSIGN_OR_RETURN(const uint64_t magic, Number(1024, 4));
    ASSIGN_OR_RETURN(const uint64_t bits, Number(1024 + 12, 1));
    ASSIGN_OR_RETURN(const uint64_t root, Number(1024 + 14, 2));
    ASSIGN_OR_RETURN(const uint64_t blocks, Number(1024 + 36, 4));
    ASSIGN_OR_RETURN(meta_block_, Number(1024 + 40, 4));
    if (magic != 0xE0F5E1E2 || bits != 12 || blocks * kBlock != image_.size()) {
      return absl::DataLossError("bad superblock");
    }
    return root;
  }

  std::map<std::string, ErofsFile> files;

 private:
  absl::StatusOr<uint64_t> Number(uint64_t offset, size_t bytes) const {
    uint64_t value = 0;
    if (offset + bytes > image_.size()) {
      return absl::DataLossError(absl::StrCat("offset ", offset));
    }
    memcpy(&value, image_.data() + offset, bytes);
    return value;
  }

  absl::StatusOr<std::string> Bytes(uint64_t offset, uint64_t size) const {
    if (offset > image_.size() || size > image_.size() - offset) {
      return absl::DataLossError(absl::StrCat("bytes at ", offset));
    }
    return std::string(image_.substr(offset, size));
  }

  absl::Status ReadXattrs(uint64_t offset, uint64_t size, ErofsFile& file);
  absl::StatusOr<std::string> ReadData(uint64_t inode, uint64_t head,
                                       uint64_t size, uint64_t layout);
  absl::Status ReadDirectory(const std::string& data, uint64_t nid,
                             uint64_t parent, const std::string& path);

  absl::string_view image_;
  uint64_t meta_block_ = 0;
};

absl::Status Reader::ReadXattrs(uint64_t offset, uint64_t size,
                                ErofsFile& file) {
  const std::map<uint64_t, std::string> prefixes = {
      {1, "user."}, {4, "trusted."}, {6, "security."}};
  for (uint64_t at = offset + 12; at < offset + size;) {
    ASSIGN_OR_RETURN(const uint64_t name_length, Number(at, 1));
    ASSIGN_OR_RETURN(const uint64_t index, Number(at + 1, 1));
    ASSIGN_OR_RETURN(const uint64_t value_length, Number(at + 2, 2));
    ASSIGN_OR_RETURN(const std::string name, Bytes(at + 4, name_length));
    ASSIGN_OR_RETURN(const std::string value,
                     Bytes(at + 4 + name_length, value_length));
    const auto prefix = prefixes.find(index);
    if (prefix == prefixes.end()) {
      return absl::DataLossError("xattr prefix");
    }
    file.xattrs[prefix->second + name] = value;
    at += (4 + name_length + value_length + 3) / 4 * 4;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Reader::ReadData(uint64_t inode, uint64_t head,
                                             uint64_t size, uint64_t layout) {
  ASSIGN_OR_RETURN(const uint64_t first, Number(inode + 16, 4));
  if (layout == 0) {
    return Bytes(first * kBlock, size);
  }
  const uint64_t whole = size / kBlock * kBlock;
  const uint64_t tail = size - whole;
  if ((inode + head) % kBlock + tail > kBlock) {
    return absl::DataLossError("tail crosses a block");
  }
  ASSIGN_OR_RETURN(std::string data, Bytes(first * kBlock, whole));
  ASSIGN_OR_RETURN(const std::string rest, Bytes(inode + head, tail));
  return data + rest;
}

absl::Status Reader::ReadDirectory(const std::string& data, uint64_t nid,
                                   uint64_t parent, const std::string& path) {
  std::string last;
  for (size_t start = 0; start < data.size(); start += kBlock) {
    const std::string block = data.substr(start, kBlock);
    uint16_t first_name = 0;
    memcpy(&first_name, block.data() + 8, 2);
    if (first_name == 0 || first_name % 12 != 0 || first_name > block.size()) {
      return absl::DataLossError("directory block of " + path);
    }
    for (size_t at = 0; at < first_name; at += 12) {
      uint64_t child = 0;
      uint16_t name_at = 0;
      memcpy(&child, block.data() + at, 8);
      memcpy(&name_at, block.data() + at + 8, 2);
      uint16_t end = static_cast<uint16_t>(block.size());
      if (at + 12 < first_name) {
        memcpy(&end, block.data() + at + 12 + 8, 2);
      }
      if (end > block.size() || name_at >= end) {
        return absl::DataLossError("name in " + path);
      }
      std::string name = block.substr(name_at, end - name_at);
      name = name.c_str();  // the last one is followed by zeros
      if (!last.empty() && name <= last) {
        return absl::DataLossError("order of names in " + path);
      }
      last = name;
      if (name == "." || name == "..") {
        if (child != (name == "." ? nid : parent)) {
          return absl::DataLossError(name + " of " + path);
        }
        continue;
      }
      RETURN_IF_ERROR(
          ReadTree(child, nid, path.empty() ? name : path + "/" + name));
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadTree(uint64_t nid, uint64_t parent,
                              const std::string& path) {
  const uint64_t inode = meta_block_ * kBlock + nid * 32;
  ASSIGN_OR_RETURN(const uint64_t format, Number(inode, 2));
  ASSIGN_OR_RETURN(const uint64_t xattr_count, Number(inode + 2, 2));
  ASSIGN_OR_RETURN(const uint64_t mode, Number(inode + 4, 2));
  ASSIGN_OR_RETURN(const uint64_t size, Number(inode + 8, 8));
  ASSIGN_OR_RETURN(const uint64_t device, Number(inode + 16, 4));
  ASSIGN_OR_RETURN(const uint64_t uid, Number(inode + 24, 4));
  ASSIGN_OR_RETURN(const uint64_t gid, Number(inode + 28, 4));
  ASSIGN_OR_RETURN(const uint64_t mtime, Number(inode + 32, 8));
  ASSIGN_OR_RETURN(const uint64_t links, Number(inode + 44, 4));
  const uint64_t layout = format >> 1;
  if ((format & 1) == 0 || (layout != 0 && layout != 2)) {
    return absl::DataLossError("format of " + path);
  }
  ErofsFile file;
  file.mode = static_cast<uint32_t>(mode);
  file.uid = static_cast<uint32_t>(uid);
  file.gid = static_cast<uint32_t>(gid);
  file.mtime = static_cast<int64_t>(mtime);
  file.links = static_cast<uint32_t>(links);
  file.nid = nid;
  const uint64_t xattrs = xattr_count == 0 ? 0 : 12 + (xattr_count - 1) * 4;
  RETURN_IF_ERROR(ReadXattrs(inode + 64, xattrs, file));
  if (S_ISCHR(mode)) {
    file.device = static_cast<uint32_t>(device);
  } else {
    ASSIGN_OR_RETURN(file.content, ReadData(inode, 64 + xattrs, size, layout));
  }
  const std::string data = S_ISDIR(mode) ? std::move(file.content) : "";
  if (S_ISDIR(mode)) {
    file.content.clear();
  }
  files[path] = std::move(file);
  return S_ISDIR(mode) ? ReadDirectory(data, nid, parent, path)
                       : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::map<std::string, ErofsFile>> ReadErofs(
    absl::string_view image) {
  Reader reader(image);
  ASSIGN_OR_RETURN(const uint64_t root, reader.ReadSuper());
  RETURN_IF_ERROR(reader.ReadTree(root, root, ""));
  return std::move(reader.files);
}

}  // namespace caisson::image
