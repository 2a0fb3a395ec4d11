#include "tests/probe/proc_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace caisson::probe {
namespace {

bool IsOctal(char c) {
  return c >= '0' && c <= '7';
}

}  // namespace

std::optional<std::string> ReadWhole(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return std::nullopt;
  }
  std::string text;
  char buffer[4096];
  ssize_t got = 0;
  while ((got = read(fd, buffer, sizeof(buffer))) > 0 ||
         (got < 0 && errno == EINTR)) {
    text.append(buffer, got > 0 ? static_cast<size_t>(got) : 0);
  }
  close(fd);
  return got < 0 ? std::nullopt : std::optional(std::move(text));
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    const std::string_view part = text.substr(0, end);
    if (!part.empty()) {
      parts.push_back(part);
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parts;
}

std::optional<std::string_view> StatusValue(std::string_view status,
                                            std::string_view name) {
  for (std::string_view line : Split(status, '\n')) {
    if (line.size() > name.size() && line[name.size()] == ':' &&
        line.substr(0, name.size()) == name) {
      line.remove_prefix(name.size() + 1);
      const size_t begin = line.find_first_not_of(" \t");
      return begin == std::string_view::npos ? "" : line.substr(begin);
    }
  }
  return std::nullopt;
}

std::string Unescape(std::string_view field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size() && IsOctal(field[i + 1]) &&
        IsOctal(field[i + 2]) && IsOctal(field[i + 3])) {
      const int code = (field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 +
                       (field[i + 3] - '0');
      text += static_cast<char>(code);
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

}  // namespace caisson::probe
