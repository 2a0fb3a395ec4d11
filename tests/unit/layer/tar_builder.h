#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace caisson::image {

// A member of a tar archive; whatever it says is written, right or wrong.
struct TarMember {
  std::string name;
  char type = '0';  // of the ustar header: 0 file, 1 link, 2 symlink, 5 ...
  std::string content = {};
  std::string link = {};
  uint32_t mode = 0644;
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t mtime = 1700000000;
  // Records of a PAX header before it, "path" and so on.
  std::vector<std::pair<std::string, std::string>> pax = {};
  // The header's size field when it is not the content's size.
  int64_t size = -1;
};

// One record of a PAX header, with its length.
std::string PaxRecord(const std::string& key, const std::string& value);

// The 512 bytes of a header.
std::string TarHeader(const TarMember& member);

// Header, content and padding; the PAX header first.
std::string TarEntry(const TarMember& member);

// All of them, and the two empty blocks at the end.
std::string Tar(const std::vector<TarMember>& members);

}  // namespace caisson::image
