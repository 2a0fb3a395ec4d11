#include "tests/unit/layer/tar_builder.h"

#include <cstdio>
#include <cstring>

namespace caisson::image {
namespace {

void PutText(std::string& block, size_t offset, size_t room,
             const std::string& text) {
  block.replace(offset, std::min(room, text.size()), text, 0, room);
}

// Octal digits, or base 256 where they don't suffice.
void PutNumber(std::string& block, size_t offset, size_t room, int64_t value) {
  char digits[32];
  snprintf(digits, sizeof(digits), "%0*llo", static_cast<int>(room) - 1,
           static_cast<unsigned long long>(value));
  if (value >= 0 && strlen(digits) < room) {
    PutText(block, offset, room - 1, digits);
    return;
  }
  auto rest = static_cast<uint64_t>(value);
  for (size_t i = room; i-- > 0;) {
    block[offset + i] =
        static_cast<char>(room - i <= 8 ? rest & 0xff : (value < 0 ? 0xff : 0));
    rest >>= room - i <= 8 ? 8 : 0;
  }
  block[offset] = static_cast<char>(block[offset] | 0x80);
}

}  // namespace

std::string PaxRecord(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) {
    length = std::to_string(length).size() + rest.size();
  }
  return std::to_string(length) + rest;
}

std::string TarHeader(const TarMember& member) {
  std::string block(512, '\0');
  PutText(block, 0, 100, member.name);
  PutNumber(block, 100, 8, member.mode);
  PutNumber(block, 108, 8, member.uid);
  PutNumber(block, 116, 8, member.gid);
  PutNumber(block, 124, 12,
            member.size >= 0 ? member.size
                             : static_cast<int64_t>(member.content.size()));
  PutNumber(block, 136, 12, member.mtime);
  PutText(block, 148, 8, "        ");
  block[156] = member.type;
  PutText(block, 157, 100, member.link);
  PutText(block, 257, 8, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : block) {
    sum += static_cast<unsigned char>(c);
  }
  char text[9];
  snprintf(text, sizeof(text), "%06o", sum);
  PutText(block, 148, 7, std::string(text, 7));
  return block;
}

std::string TarEntry(const TarMember& member) {
  std::string out;
  if (!member.pax.empty()) {
    TarMember header = {"PaxHeaders/x", 'x'};
    for (const auto& [key, value] : member.pax) {
      header.content += PaxRecord(key, value);
    }
    out = TarEntry(header);
  }
  out += TarHeader(member) + member.content;
  out.resize((out.size() + 511) / 512 * 512);
  return out;
}

std::string Tar(const std::vector<TarMember>& members) {
  std::string out;
  for (const TarMember& member : members) {
    out += TarEntry(member);
  }
  return out + std::string(1024, '\0');
}

}  // namespace caisson::image
