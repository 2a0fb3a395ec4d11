#include "runtime/keeper/log_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::keeper {
namespace {

constexpr size_t kInputBytes = 65536;
// Room for a chunk of short lines before it is written.
constexpr size_t kOutputBytes = 131072;
// "2026-11-23T19:04:10.123456789Z stdout F "
constexpr size_t kPrefixBytes = 40;
constexpr size_t kTagOffset = 38;
// One noisy container must not keep the keeper from its other work.
constexpr int kChunksPerDrain = 16;

// One of each a process: pages are only touched by keepers that log much.
char input[kInputBytes];
char output[kOutputBytes];
size_t output_size = 0;
// The prefix of both streams for the chunk at hand.
char prefix[2][kPrefixBytes + 1];

void RenderPrefixes() {
  static time_t rendered_second = 0;
  static char second_text[32];
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != rendered_second) {
    tm parts = {};
    gmtime_r(&now.tv_sec, &parts);
    strftime(second_text, sizeof(second_text), "%Y-%m-%dT%H:%M:%S", &parts);
    rendered_second = now.tv_sec;
  }
  for (const int stream : {0, 1}) {
    snprintf(prefix[stream], sizeof(prefix[stream]), "%.19s.%09luZ %s F ",
             second_text, static_cast<unsigned long>(now.tv_nsec) % 1000000000,
             stream == 0 ? "stdout" : "stderr");
  }
}

// Writes all of it, or says how much the file took.
size_t WriteAll(int fd, absl::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = write(fd, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      break;
    }
    done += static_cast<size_t>(written);
  }
  return done;
}

}  // namespace

// The record that says what is missing, where it is missing.
bool LogWriter::WriteMarker() {
  const std::string marker =
      absl::StrCat(cut_ ? "\n" : "", absl::string_view(prefix[1], kPrefixBytes),
                   "caisson: dropped ", dropped_bytes_,
                   " bytes of log that could not be written\n");
  const size_t written = WriteAll(log_.get(), marker);
  if (written > 0) {
    cut_ = written < marker.size();
  }
  return written == marker.size();
}

void LogWriter::Flush() {
  const absl::string_view bytes(output, output_size);
  output_size = 0;
  if (bytes.empty() || !log_.ok()) {
    return;
  }
  if (dropped_bytes_ > 0) {
    if (!WriteMarker()) {
      dropped_bytes_ += bytes.size();
      return;
    }
    dropped_bytes_ = 0;
  }
  const size_t written = WriteAll(log_.get(), bytes);
  dropped_bytes_ = bytes.size() - written;
  cut_ = written > 0 && written < bytes.size() && bytes[written - 1] != '\n';
}

void LogWriter::Append(absl::string_view text, Stream stream, char tag) {
  const size_t needed = kPrefixBytes + text.size() + 1;
  if (output_size + needed > kOutputBytes) {
    Flush();
  }
  char* to = output + output_size;
  memcpy(to, prefix[static_cast<int>(stream)], kPrefixBytes);
  to[kTagOffset] = tag;
  memcpy(to + kPrefixBytes, text.data(), text.size());
  to[needed - 1] = '\n';
  output_size += needed;
}

void LogWriter::Consume(absl::string_view bytes, Stream stream) {
  std::string& pending = pending_[static_cast<int>(stream)];
  while (!bytes.empty()) {
    const void* newline = memchr(bytes.data(), '\n', bytes.size());
    const size_t length =
        newline == nullptr
            ? bytes.size()
            : static_cast<size_t>(static_cast<const char*>(newline) -
                                  bytes.data());
    const size_t room = kMaxLogText - pending.size();
    if (length > room) {
      pending.append(bytes.data(), room);
      Append(pending, stream, 'P');
      pending.clear();
      bytes.remove_prefix(room);
    } else if (newline == nullptr) {
      pending.append(bytes.data(), length);
      bytes = {};
    } else if (pending.empty()) {
      Append(bytes.substr(0, length), stream, 'F');
      bytes.remove_prefix(length + 1);
    } else {
      pending.append(bytes.data(), length);
      Append(pending, stream, 'F');
      // Rarely needed again: the memory is given back.
      std::string().swap(pending);
      bytes.remove_prefix(length + 1);
    }
  }
}

void LogWriter::Finish(Stream stream) {
  std::string& pending = pending_[static_cast<int>(stream)];
  if (!pending.empty()) {
    RenderPrefixes();
    Append(pending, stream, 'F');
    std::string().swap(pending);
    Flush();
  }
}

absl::StatusOr<bool> LogWriter::Drain(int pipe, Stream stream) {
  for (int i = 0; i < kChunksPerDrain; ++i) {
    const ssize_t got = read(pipe, input, sizeof(input));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0 && errno == EAGAIN) {
      return true;
    }
    if (got < 0 && errno != EIO) {
      return ErrnoError("read", "output of container");
    }
    if (got <= 0) {
      Finish(stream);
      return false;
    }
    RenderPrefixes();
    Consume(absl::string_view(input, static_cast<size_t>(got)), stream);
    Flush();
  }
  return true;
}

}  // namespace caisson::keeper
