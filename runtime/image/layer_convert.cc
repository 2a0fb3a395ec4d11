#include "runtime/image/layer_convert.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/image/erofs_writer.h"
#include "runtime/image/layer_tree.h"
#include "runtime/image/sha256.h"

namespace caisson::image {
namespace {

constexpr size_t kChunkBytes = 256 * 1024;
constexpr char kWhiteout[] = ".wh.";
constexpr char kOpaque[] = ".wh..wh..opq";
constexpr uint32_t kIdLimit = 2147483648;
constexpr size_t kMaxNotes = 20;
constexpr size_t kMaxXattrName = 255;

// The tar stream on its way to the parser: hashed and counted.
class HashedStream {
 public:
  HashedStream(ByteSource& source, uint64_t max_bytes)
      : source_(source), left_(max_bytes), buffer_(kChunkBytes) {}

  absl::StatusOr<absl::string_view> Next() {
    absl::StatusOr<size_t> got = source_.Read(buffer_.data(), buffer_.size());
    if (!got.ok()) {
      status_ = got.status();
      return status_;
    }
    if (*got > left_) {
      status_ = absl::ResourceExhaustedError(
          "read layer: more bytes than a layer may have");
      return status_;
    }
    left_ -= *got;
    const absl::string_view bytes(buffer_.data(), *got);
    hash_.Update(bytes);
    return bytes;
  }

  // The first failure of the source, which the parser can't tell.
  const absl::Status& status() const { return status_; }

  std::string Digest() { return hash_.Digest(); }

 private:
  ByteSource& source_;
  uint64_t left_;
  std::vector<char> buffer_;
  Sha256 hash_;
  absl::Status status_;
};

la_ssize_t ReadForArchive(archive* reader, void* data, const void** buffer) {
  auto* stream = static_cast<HashedStream*>(data);
  const absl::StatusOr<absl::string_view> bytes = stream->Next();
  if (!bytes.ok()) {
    archive_set_error(reader, -1, "read failed");
    return ARCHIVE_FATAL;
  }
  *buffer = bytes->data();
  return static_cast<la_ssize_t>(bytes->size());
}

struct ArchiveCloser {
  void operator()(archive* reader) const { archive_read_free(reader); }
};

using Archive = std::unique_ptr<archive, ArchiveCloser>;

class Converter {
 public:
  Converter(ByteSource& tar, int out, const ConvertLimits& limits)
      : limits_(limits), stream_(tar, limits.max_bytes), writer_(out) {}

  absl::StatusOr<LayerResult> Run();

 private:
  absl::Status ReadEntries();
  absl::Status AddEntry(archive_entry* entry);
  absl::Status AddWhiteout(absl::string_view path, absl::string_view name);
  absl::Status AddHardLink(absl::string_view path, absl::string_view target);
  absl::Status AddFile(absl::string_view path, archive_entry* entry,
                       std::shared_ptr<LayerInode> inode);
  absl::Status WriteZeros(uint64_t count);
  absl::StatusOr<std::shared_ptr<LayerInode>> MakeInode(archive_entry* entry,
                                                        absl::string_view path);
  absl::Status KeepXattrs(archive_entry* entry, LayerInode& inode,
                          absl::string_view path);
  absl::Status ArchiveFailure(absl::string_view path);
  UserFile FindUserFile(absl::string_view name);
  void Note(absl::string_view path, absl::string_view what);

  const ConvertLimits& limits_;
  HashedStream stream_;
  ErofsWriter writer_;
  Archive archive_;
  LayerTree tree_;
  LayerResult result_;

  // The last files that were called /etc/passwd and /etc/group, and their
  // content; no more of them, for a layer may repeat them at will.
  struct Kept {
    std::shared_ptr<const LayerInode> inode;
    std::string content;
  };

  std::map<std::string, Kept> kept_;
  uint64_t file_bytes_ = 0;  // of all files so far, holes too
};

void Converter::Note(absl::string_view path, absl::string_view what) {
  if (result_.notes.size() < kMaxNotes) {
    result_.notes.push_back(
        absl::StrCat(absl::CHexEscape(path.substr(0, 256)), ": ", what));
  }
}

absl::Status Converter::ArchiveFailure(absl::string_view path) {
  RETURN_IF_ERROR(stream_.status());
  const char* text = archive_error_string(archive_.get());
  return absl::DataLossError(absl::StrCat(
      "read layer: ", path.empty() ? "" : absl::CHexEscape(path.substr(0, 256)),
      path.empty() ? "" : ": ", text == nullptr ? "malformed tar" : text));
}

// Path as text of bytes, whatever its encoding.
absl::string_view PathOf(archive_entry* entry) {
  const char* path = archive_entry_pathname(entry);
  if (path == nullptr) {
    path = archive_entry_pathname_utf8(entry);
  }
  return path == nullptr ? "" : path;
}

absl::string_view BaseName(absl::string_view path) {
  while (absl::ConsumeSuffix(&path, "/")) {
  }
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

absl::string_view Parent(absl::string_view path) {
  while (absl::ConsumeSuffix(&path, "/")) {
  }
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? "" : path.substr(0, slash);
}

// The path without what does not matter: "./etc//passwd" is "etc/passwd".
std::string Normal(absl::string_view path) {
  std::string normal;
  for (absl::string_view rest = path; !rest.empty();) {
    const size_t slash = rest.find('/');
    const absl::string_view part = rest.substr(0, slash);
    rest.remove_prefix(slash == absl::string_view::npos ? rest.size()
                                                        : slash + 1);
    if (!part.empty() && part != ".") {
      absl::StrAppend(&normal, normal.empty() ? "" : "/", part);
    }
  }
  return normal;
}

absl::Status Converter::KeepXattrs(archive_entry* entry, LayerInode& inode,
                                   absl::string_view path) {
  archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  size_t total = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    const absl::string_view text = name;
    const bool kept = text == "security.capability" ||
                      (absl::StartsWith(text, "user.") &&
                       !absl::StartsWith(text, "user.overlay."));
    if (!kept) {
      Note(path, absl::StrCat("left out xattr ", absl::CHexEscape(text)));
      continue;
    }
    total += text.size() + size;
    if (text.size() > kMaxXattrName || total > limits_.max_xattr_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "read layer entry ", absl::CHexEscape(path), ": too many xattrs"));
    }
    inode.xattrs[std::string(text)] =
        std::string(static_cast<const char*>(value), size);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<LayerInode>> Converter::MakeInode(
    archive_entry* entry, absl::string_view path) {
  auto inode = std::make_shared<LayerInode>();
  inode->mode = static_cast<uint32_t>(archive_entry_mode(entry));
  const int64_t uid = archive_entry_uid(entry);
  const int64_t gid = archive_entry_gid(entry);
  if (uid < 0 || gid < 0 || uid >= kIdLimit || gid >= kIdLimit) {
    return absl::InvalidArgumentError(
        absl::StrCat("read layer entry ", absl::CHexEscape(path), ": owner ",
                     uid, ":", gid, " is out of range"));
  }
  inode->uid = static_cast<uint32_t>(uid);
  inode->gid = static_cast<uint32_t>(gid);
  result_.highest_id = std::max({result_.highest_id, inode->uid, inode->gid});
  inode->mtime = archive_entry_mtime(entry);
  inode->mtime_nanoseconds =
      static_cast<uint32_t>(archive_entry_mtime_nsec(entry));
  RETURN_IF_ERROR(KeepXattrs(entry, *inode, path));
  return inode;
}

absl::Status Converter::AddWhiteout(absl::string_view path,
                                    absl::string_view name) {
  if (name == kOpaque) {
    absl::StatusOr<LayerNode*> directory = tree_.Find(Parent(path));
    if (absl::IsNotFound(directory.status())) {
      auto inode = std::make_shared<LayerInode>();
      inode->mode = S_IFDIR | 0755;
      directory = tree_.Put(Parent(path), std::move(inode));
    }
    RETURN_IF_ERROR(directory.status());
    if (!(*directory)->is_directory()) {
      return absl::InvalidArgumentError(
          absl::StrCat("read layer entry ", absl::CHexEscape(path),
                       ": in what is no directory"));
    }
    (*directory)->inode->SetOpaque();
    return absl::OkStatus();
  }
  absl::string_view hidden = name;
  absl::ConsumePrefix(&hidden, kWhiteout);
  // Other names of that prefix were bookkeeping of a filesystem of old.
  if (hidden.empty() || hidden == "." || hidden == ".." ||
      absl::StartsWith(hidden, kWhiteout)) {
    Note(path, "left out, not a whiteout");
    return absl::OkStatus();
  }
  const std::string target = absl::StrCat(Parent(path), "/", hidden);
  // What this layer itself brings stays: a whiteout is about those below.
  if (const absl::StatusOr<LayerNode*> own = tree_.Find(target); own.ok()) {
    if ((*own)->is_directory()) {
      (*own)->inode->SetOpaque();
    }
    return absl::OkStatus();
  }
  auto inode = std::make_shared<LayerInode>();
  inode->mode = S_IFCHR;  // device 0:0
  return tree_.Put(target, std::move(inode)).status();
}

absl::Status Converter::AddHardLink(absl::string_view path,
                                    absl::string_view target) {
  const absl::StatusOr<LayerNode*> node = tree_.Find(target);
  const char* wrong = !node.ok()                      ? "nothing of it"
                      : (*node)->is_directory()       ? "a directory"
                      : (*node)->inode->is_whiteout() ? "a whiteout"
                                                      : nullptr;
  if (wrong != nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("read layer entry ", absl::CHexEscape(path.substr(0, 256)),
                     ": link to ", absl::CHexEscape(target.substr(0, 256)),
                     ", which is ", wrong, node.ok() ? "" : " in this layer"));
  }
  // Before the put, which may replace the target.
  std::shared_ptr<LayerInode> inode = (*node)->inode;
  return tree_.Put(path, std::move(inode)).status();
}

absl::Status Converter::WriteZeros(uint64_t count) {
  static const std::string* const zeros = new std::string(65536, '\0');
  while (count > 0) {
    const size_t part =
        static_cast<size_t>(std::min<uint64_t>(count, zeros->size()));
    RETURN_IF_ERROR(writer_.Append(absl::string_view(zeros->data(), part)));
    count -= part;
  }
  return absl::OkStatus();
}

absl::Status Converter::AddFile(absl::string_view path, archive_entry* entry,
                                std::shared_ptr<LayerInode> inode) {
  const uint32_t first_block = writer_.next_block();
  const std::string normal = Normal(path);
  std::string* keep = nullptr;
  const int64_t size = archive_entry_size(entry);
  if ((normal == "etc/passwd" || normal == "etc/group") && size >= 0 &&
      static_cast<uint64_t>(size) <= limits_.max_user_database_bytes) {
    Kept& kept = kept_[normal];
    kept = {inode, ""};
    keep = &kept.content;
  }
  // A sparse file may claim any size: all together are held to the bound.
  if (size < 0 ||
      static_cast<uint64_t>(size) > limits_.max_bytes - file_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "read layer entry ", absl::CHexEscape(path), ": size ", size));
  }
  file_bytes_ += static_cast<uint64_t>(size);
  uint64_t done = 0;
  for (;;) {
    const void* data = nullptr;
    size_t length = 0;
    la_int64_t offset = 0;
    const int got =
        archive_read_data_block(archive_.get(), &data, &length, &offset);
    if (got == ARCHIVE_EOF) {
      break;
    }
    if (got != ARCHIVE_OK || offset < 0 ||
        static_cast<uint64_t>(offset) < done ||
        static_cast<uint64_t>(offset) + length > static_cast<uint64_t>(size)) {
      return ArchiveFailure(path);
    }
    RETURN_IF_ERROR(WriteZeros(static_cast<uint64_t>(offset) - done));
    const absl::string_view bytes(static_cast<const char*>(data), length);
    RETURN_IF_ERROR(writer_.Append(bytes));
    if (keep != nullptr) {
      keep->resize(static_cast<size_t>(offset));
      absl::StrAppend(keep, bytes);
    }
    done = static_cast<uint64_t>(offset) + length;
  }
  RETURN_IF_ERROR(WriteZeros(static_cast<uint64_t>(size) - done));
  RETURN_IF_ERROR(
      writer_.EndFile(first_block, static_cast<uint64_t>(size), *inode));
  return tree_.Put(path, std::move(inode)).status();
}

absl::Status Converter::AddEntry(archive_entry* entry) {
  const std::string path(PathOf(entry));
  if (path.empty()) {
    return absl::InvalidArgumentError("read layer entry: no name");
  }
  const absl::string_view name = BaseName(path);
  if (absl::StartsWith(name, kWhiteout)) {
    return AddWhiteout(path, name);
  }
  if (const char* target = archive_entry_hardlink(entry); target != nullptr) {
    return AddHardLink(path, target);
  }
  ASSIGN_OR_RETURN(std::shared_ptr<LayerInode> inode, MakeInode(entry, path));
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return AddFile(path, entry, std::move(inode));
    case AE_IFLNK: {
      const char* target = archive_entry_symlink(entry);
      if (target == nullptr || *target == '\0' || strlen(target) > 4095) {
        return absl::InvalidArgumentError(absl::StrCat(
            "read layer entry ", absl::CHexEscape(path), ": bad link target"));
      }
      const uint32_t first_block = writer_.next_block();
      RETURN_IF_ERROR(writer_.Append(target));
      RETURN_IF_ERROR(writer_.EndFile(first_block, strlen(target), *inode));
      inode->mode = S_IFLNK | 0777;
      return tree_.Put(path, std::move(inode)).status();
    }
    case AE_IFDIR:
    case AE_IFIFO:
      return tree_.Put(path, std::move(inode)).status();
    default:
      Note(path, "left out, a device or socket");
      return absl::OkStatus();
  }
}

// A name that the locale can't tell is no fault: its bytes are what counts.
// Any other warning is about a header that was read in part, and parsers
// disagree on those (CVE-2025-62518).
bool IsAboutEncoding(archive* reader, int result) {
  const char* text = archive_error_string(reader);
  return result == ARCHIVE_WARN && text != nullptr &&
         absl::StrContains(text, "can't be converted");
}

absl::Status Converter::ReadEntries() {
  archive_.reset(archive_read_new());
  archive_read_support_filter_none(archive_.get());
  archive_read_support_format_tar(archive_.get());
  archive_read_support_format_empty(archive_.get());
  if (archive_read_open(archive_.get(), &stream_, nullptr, ReadForArchive,
                        nullptr) != ARCHIVE_OK) {
    return ArchiveFailure("");
  }
  for (;;) {
    archive_entry* entry = nullptr;
    const int got = archive_read_next_header(archive_.get(), &entry);
    if (got == ARCHIVE_EOF) {
      return absl::OkStatus();
    }
    if (got != ARCHIVE_OK && !IsAboutEncoding(archive_.get(), got)) {
      return ArchiveFailure("");
    }
    if (++result_.entries > limits_.max_entries) {
      return absl::ResourceExhaustedError("read layer: too many entries");
    }
    RETURN_IF_ERROR(AddEntry(entry));
  }
}

UserFile Converter::FindUserFile(absl::string_view name) {
  UserFile file;
  const absl::StatusOr<LayerNode*> etc = tree_.Find("etc");
  if (!etc.ok()) {
    return file;
  }
  // Hidden with its directory.
  file.removed = !(*etc)->is_directory() || (*etc)->inode->is_opaque();
  const absl::StatusOr<LayerNode*> node =
      tree_.Find(absl::StrCat("etc/", name));
  if (!node.ok()) {
    return file;
  }
  file.removed = true;
  const auto kept = kept_.find(absl::StrCat("etc/", name));
  if (kept != kept_.end() && kept->second.inode == (*node)->inode) {
    file.content = kept->second.content;
    file.removed = false;
  }
  return file;
}

absl::StatusOr<LayerResult> Converter::Run() {
  RETURN_IF_ERROR(ReadEntries());
  archive_.reset();
  // The digest is of all bytes, those behind the archive's end too.
  for (;;) {
    ASSIGN_OR_RETURN(const absl::string_view rest, stream_.Next());
    if (rest.empty()) {
      break;
    }
  }
  result_.diff_id = stream_.Digest();
  result_.passwd = FindUserFile("passwd");
  result_.group = FindUserFile("group");
  ASSIGN_OR_RETURN(result_.file_bytes, writer_.Finish(tree_));
  return std::move(result_);
}

}  // namespace

absl::StatusOr<LayerResult> ConvertLayer(ByteSource& compressed,
                                         Compression compression, int out,
                                         const ConvertLimits& limits) {
  const std::unique_ptr<ByteSource> tar = Inflate(compressed, compression);
  Converter converter(*tar, out, limits);
  return converter.Run();
}

}  // namespace caisson::image
