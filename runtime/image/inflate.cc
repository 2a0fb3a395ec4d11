#include "runtime/image/inflate.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::image {
namespace {

constexpr size_t kInputBytes = 256 * 1024;

absl::Status Malformed(absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("inflate ", what, " stream: malformed or cut short"));
}

class Plain : public ByteSource {
 public:
  explicit Plain(ByteSource& source) : source_(source) {}

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    return source_.Read(buffer, size);
  }

 private:
  ByteSource& source_;
};

class Gzip : public ByteSource {
 public:
  explicit Gzip(ByteSource& source) : source_(source), input_(kInputBytes) {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
  }

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override;

 private:
  absl::StatusOr<bool> Refill();

  ByteSource& source_;
  std::vector<uint8_t> input_;
  inflate_state state_ = {};
  bool in_member_ = false;
};

// False at the end of the source.
absl::StatusOr<bool> Gzip::Refill() {
  ASSIGN_OR_RETURN(
      const size_t got,
      source_.Read(reinterpret_cast<char*>(input_.data()), input_.size()));
  state_.next_in = input_.data();
  state_.avail_in = static_cast<uint32_t>(got);
  return got > 0;
}

absl::StatusOr<size_t> Gzip::Read(char* buffer, size_t size) {
  state_.next_out = reinterpret_cast<uint8_t*>(buffer);
  state_.avail_out = static_cast<uint32_t>(size);
  while (state_.avail_out == size) {
    if (state_.avail_in == 0) {
      ASSIGN_OR_RETURN(const bool more, Refill());
      if (!more) {
        // Between members is the only good place to end.
        return in_member_ ? absl::StatusOr<size_t>(Malformed("gzip"))
                          : absl::StatusOr<size_t>(size_t{0});
      }
    }
    in_member_ = true;
    if (isal_inflate(&state_) != ISAL_DECOMP_OK) {
      return Malformed("gzip");
    }
    if (state_.block_state == ISAL_BLOCK_FINISH) {
      in_member_ = false;
      // Keeps next_in, avail_in and the output's place.
      isal_inflate_reset(&state_);
      state_.crc_flag = ISAL_GZIP;
    }
  }
  return size - state_.avail_out;
}

class Zstd : public ByteSource {
 public:
  explicit Zstd(ByteSource& source)
      : source_(source), input_(kInputBytes), stream_(ZSTD_createDStream()) {}

  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  ~Zstd() override { ZSTD_freeDStream(stream_); }

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override;

 private:
  ByteSource& source_;
  std::vector<char> input_;
  ZSTD_DStream* stream_;
  ZSTD_inBuffer in_ = {nullptr, 0, 0};
  size_t wanted_ = 0;  // 0 between frames
};

absl::StatusOr<size_t> Zstd::Read(char* buffer, size_t size) {
  ZSTD_outBuffer out = {buffer, size, 0};
  while (out.pos == 0) {
    if (in_.pos == in_.size) {
      ASSIGN_OR_RETURN(const size_t got,
                       source_.Read(input_.data(), input_.size()));
      if (got == 0) {
        return wanted_ != 0 ? absl::StatusOr<size_t>(Malformed("zstd"))
                            : absl::StatusOr<size_t>(size_t{0});
      }
      in_ = {input_.data(), got, 0};
    }
    wanted_ = ZSTD_decompressStream(stream_, &out, &in_);
    if (ZSTD_isError(wanted_) != 0) {
      return Malformed("zstd");
    }
  }
  return out.pos;
}

}  // namespace

std::unique_ptr<ByteSource> Inflate(ByteSource& source,
                                    Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return std::make_unique<Gzip>(source);
    case Compression::kZstd:
      return std::make_unique<Zstd>(source);
    case Compression::kNone:
      break;
  }
  return std::make_unique<Plain>(source);
}

}  // namespace caisson::image
