#pragma once

#include <cstdint>

// On-disk structures of EROFS: Documentation/filesystems/erofs.rst of the
// kernel.  Little-endian; this code runs on little-endian machines only.
namespace caisson::image::erofs {

inline constexpr uint32_t kMagic = 0xE0F5E1E2;
inline constexpr uint64_t kSuperOffset = 1024;
inline constexpr uint32_t kBlockBits = 12;
inline constexpr uint64_t kBlockBytes = 1u << kBlockBits;
// An inode's number is its offset from the metadata area in such units.
inline constexpr uint64_t kSlotBytes = 32;

struct SuperBlock {
  uint32_t magic;
  uint32_t checksum;
  uint32_t feature_compat;
  uint8_t block_bits;
  uint8_t extension_slots;
  uint16_t root_nid;
  uint64_t inodes;
  uint64_t build_time;  // seconds since the epoch
  uint32_t build_nanoseconds;
  uint32_t blocks;
  uint32_t meta_block;
  uint32_t xattr_block;
  uint8_t uuid[16];
  uint8_t volume_name[16];
  uint32_t feature_incompat;
  uint8_t reserved[44];
};

static_assert(sizeof(SuperBlock) == 128);

// Data layout of an inode, in bits 1 to 3 of its format.
enum class Layout : uint16_t {
  kPlain = 0,   // all data in whole blocks
  kInline = 2,  // the tail behind the inode
};

// The extended form, with 32-bit ids, links and a time.
struct Inode {
  uint16_t format;
  uint16_t xattr_count;  // in units of 4 bytes, see kXattrHeaderBytes
  uint16_t mode;
  uint16_t reserved;
  uint64_t size;
  // First block of the data, or the device number.
  uint32_t block_or_device;
  uint32_t number;  // for 32-bit stat
  uint32_t uid;
  uint32_t gid;
  uint64_t mtime;
  uint32_t mtime_nanoseconds;
  uint32_t links;
  uint8_t reserved2[16];
};

static_assert(sizeof(Inode) == 64);

struct DirectoryEntry {
  uint64_t nid;
  uint16_t name_offset;
  uint8_t type;
  uint8_t reserved;
} __attribute__((packed));

static_assert(sizeof(DirectoryEntry) == 12);

inline constexpr uint64_t kXattrHeaderBytes = 12;

struct XattrEntry {
  uint8_t name_length;
  uint8_t name_index;
  uint16_t value_length;
} __attribute__((packed));

static_assert(sizeof(XattrEntry) == 4);

// Prefixes of xattr names that are stored as a number.
enum XattrIndex : uint8_t {
  kXattrUser = 1,
  kXattrTrusted = 4,
  kXattrSecurity = 6,
};

enum FileType : uint8_t {
  kTypeRegular = 1,
  kTypeDirectory = 2,
  kTypeCharacter = 3,
  kTypeFifo = 5,
  kTypeSymlink = 7,
};

}  // namespace caisson::image::erofs
