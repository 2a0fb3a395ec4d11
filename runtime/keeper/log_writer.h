#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/unique_fd.h"

namespace caisson::keeper {

enum class Stream { kStdout = 0, kStderr = 1 };

// The longest text of one record, bytes; longer lines are split into partial
// records (tag P) and a last one (tag F).
inline constexpr size_t kMaxLogText = 16384;

// Writes a container's output in the format that the kubelet reads:
//   2026-11-23T19:04:10.123456789Z stdout F text
// Never blocks and never fails its container: what the disk does not take is
// dropped, and a record says how much.  Single-threaded; its buffers are
// shared by all writers of the process.
class LogWriter {
 public:
  // Takes the log; one not ok() discards everything.
  explicit LogWriter(UniqueFd log) : log_(std::move(log)) {}

  // Reads what the non-blocking `pipe` holds, up to a bound, and writes it.
  // False at the end of the stream, when an unfinished line is written too.
  absl::StatusOr<bool> Drain(int pipe, Stream stream);

  // Goes on in another file.  Records are written whole, so the switch is at
  // the end of one.
  void Reopen(UniqueFd log) {
    log_ = std::move(log);
    cut_ = false;
  }

 private:
  void Consume(absl::string_view bytes, Stream stream);
  void Finish(Stream stream);
  void Append(absl::string_view text, Stream stream, char tag);
  void Flush();
  bool WriteMarker();

  UniqueFd log_;
  // Of each stream: the begun line, not yet long enough to be split.
  std::string pending_[2];
  uint64_t dropped_bytes_ = 0;
  // The file ends within a record.
  bool cut_ = false;
};

}  // namespace caisson::keeper
