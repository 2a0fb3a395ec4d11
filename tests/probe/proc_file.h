#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caisson::probe {

// The whole of a small file; nothing when it can't be read.
std::optional<std::string> ReadWhole(const std::string& path);

// The parts of `text` between `separator`s; empty parts are left out.
std::vector<std::string_view> Split(std::string_view text, char separator);

// The value of "Name:\tvalue" in text like /proc/self/status; nothing when
// the line isn't there.
std::optional<std::string_view> StatusValue(std::string_view status,
                                            std::string_view name);

// The octal escapes of mountinfo undone (proc(5)): "\040" is a space.
std::string Unescape(std::string_view field);

}  // namespace caisson::probe
