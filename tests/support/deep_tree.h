#pragma once

#include <string>

namespace caisson::testing {

// Makes the directory `path` and `depth` ones, each in the one before, with a
// file beside each: what a container makes by mkdir and chdir, and no path
// reaches.
void MakeDeepTree(const std::string& path, int depth);

}  // namespace caisson::testing
