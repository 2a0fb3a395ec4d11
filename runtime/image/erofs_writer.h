#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/image/layer_tree.h"

namespace caisson::image {

// Writes one EROFS image in a single pass: file data in whole blocks as it
// arrives, then the metadata, then the superblock, so that a file cut short
// is no filesystem.  No compression: the page cache of every container of the
// layer shares the blocks.
class ErofsWriter {
 public:
  // Writes to `fd` (borrowed), an empty file, from its beginning.
  explicit ErofsWriter(int fd);

  // The block where the next file's data will begin.
  uint32_t next_block() const;

  // Appends data of a regular file; all of a file's calls follow each other.
  absl::Status Append(absl::string_view data);
  // Ends the file whose data was appended: a short rest behind the last whole
  // block becomes the tail of `inode`; its size and first block are set.
  absl::Status EndFile(uint32_t first_block, uint64_t size, LayerInode& inode);

  // Writes metadata and superblock.  Returns the image's size in bytes, a
  // multiple of the block size.  Consumes the tree's data.
  absl::StatusOr<uint64_t> Finish(LayerTree& tree);

 private:
  absl::Status FlushBuffer();
  absl::Status WriteBytes(absl::string_view bytes);
  absl::Status PadToBlock();

  const int fd_;
  uint64_t offset_;  // of the buffer's first byte in the file
  std::string buffer_;
};

}  // namespace caisson::image
