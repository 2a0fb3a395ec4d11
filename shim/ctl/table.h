#pragma once

#include <string>
#include <vector>

namespace caisson::ctl {

// Rows as text with columns two blanks apart; the last one isn't padded.
// Control characters, which a pod's name might hold, become '?'.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace caisson::ctl
