#include "tests/unit/layer/layer_fixture.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace caisson::image {

absl::StatusOr<size_t> TextSource::Read(char* buffer, size_t size) {
  const size_t part = std::min({size, step_, text_.size() - done_});
  memcpy(buffer, text_.data() + done_, part);
  done_ += part;
  return part;
}

std::string GzipOf(const std::string& text) {
  z_stream stream = {};
  // 16: with gzip's header and trailer.
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8,
               Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string ZstdOf(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(
      ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

absl::StatusOr<LayerResult> LayerTest::Convert(const std::string& stream,
                                               Compression compression,
                                               size_t step) {
  out.reset(memfd_create("layer", MFD_CLOEXEC));
  TextSource source(stream, step);
  return ConvertLayer(source, compression, out.get(), limits);
}

void LayerTest::ConvertGood(const std::vector<TarMember>& members) {
  ConvertGoodStream(Tar(members));
}

void LayerTest::ConvertGoodStream(const std::string& tar) {
  absl::StatusOr<LayerResult> converted = Convert(tar);
  ASSERT_TRUE(converted.ok()) << converted.status();
  result = *std::move(converted);
  std::string image(result.file_bytes, '\0');
  ASSERT_EQ(pread(out.get(), image.data(), image.size(), 0),
            static_cast<ssize_t>(image.size()));
  struct stat facts = {};
  ASSERT_EQ(fstat(out.get(), &facts), 0);
  EXPECT_EQ(static_cast<uint64_t>(facts.st_size), result.file_bytes);
  absl::StatusOr<std::map<std::string, ErofsFile>> read = ReadErofs(image);
  ASSERT_TRUE(read.ok()) << read.status();
  files = *std::move(read);
  const std::string check =
      absl::StrCat("fsck.erofs --extract /proc/", getpid(), "/fd/", out.get(),
                   " >/dev/null 2>&1");
  EXPECT_EQ(std::system(check.c_str()), 0);
}

std::string LayerTest::Refusal(const std::vector<TarMember>& members) {
  const absl::StatusOr<LayerResult> converted = Convert(Tar(members));
  return converted.ok()
             ? ""
             : absl::StrCat(absl::StatusCodeToString(converted.status().code()),
                            ": ", converted.status().message());
}

}  // namespace caisson::image
