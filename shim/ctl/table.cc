#include "shim/ctl/table.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace caisson::ctl {
namespace {

constexpr size_t kGap = 2;

std::vector<size_t> Widths(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  return widths;
}

void AppendPrintable(const std::string& cell, std::string& text) {
  for (const char c : cell) {
    text += absl::ascii_iscntrl(static_cast<unsigned char>(c)) ? '?' : c;
  }
}

}  // namespace

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  const std::vector<size_t> widths = Widths(rows);
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      AppendPrintable(row[i], text);
      if (i + 1 < row.size()) {
        text.append(widths[i] - row[i].size() + kGap, ' ');
      }
    }
    text += '\n';
  }
  return text;
}

}  // namespace caisson::ctl
