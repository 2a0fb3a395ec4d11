#pragma once

#include <map>
#include <string>

// The rows of the catalogue that have a test here: the row and, of each of its
// tests, suite and name; or "none: " and why there is nothing to test.
namespace caisson::cri_test {

using Rows = std::multimap<std::string, std::string>;

Rows RowsOfGroupA();  // the host's programs and files, joining, image's code
Rows RowsOfGroupB();  // rootfs preparation, mounts, /proc and /dev
Rows RowsOfGroupC();  // identity, capabilities, LSM, seccomp, kernel surface
Rows RowsOfGroupH();  // cgroups and resource containment

}  // namespace caisson::cri_test
