#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/image/layer_convert.h"
#include "tests/unit/layer/erofs_reader.h"
#include "tests/unit/layer/tar_builder.h"

namespace caisson::image {

// Text as a source that gives at most `step` bytes a read.
class TextSource : public ByteSource {
 public:
  explicit TextSource(std::string text, size_t step = 1 << 20)
      : text_(std::move(text)), step_(step) {}

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override;

 private:
  std::string text_;
  size_t step_;
  size_t done_ = 0;
};

std::string GzipOf(const std::string& text);
std::string ZstdOf(const std::string& text);

// Converts layers into a file in memory and reads that back.
class LayerTest : public testing::Test {
 protected:
  absl::StatusOr<LayerResult> Convert(
      const std::string& stream, Compression compression = Compression::kNone,
      size_t step = 1 << 20);

  // Converts a tar of the members, which must succeed, and fills in `files`;
  // fsck.erofs must find nothing.
  void ConvertGood(const std::vector<TarMember>& members);
  void ConvertGoodStream(const std::string& tar);

  // What becomes of it: "" when it is converted, else code and message.
  std::string Refusal(const std::vector<TarMember>& members);

  ConvertLimits limits;
  LayerResult result;
  std::map<std::string, ErofsFile> files;
  UniqueFd out;
};

}  // namespace caisson::image
