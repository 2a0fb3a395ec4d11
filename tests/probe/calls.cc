#include "tests/probe/calls.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/probe/proc_file.h"
#include "tests/probe/report.h"

namespace caisson::probe {
namespace {

constexpr int kFamilies = 47;
constexpr size_t kArguments = 5;
constexpr size_t kLowBytes = 65536;

enum class Abi { kNative, kI386, kX32 };

struct Call {
  long number = 0;
  long arguments[kArguments] = {};
};

// Memory that 32-bit calls can name.
class LowMemory {
 public:
  LowMemory() {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(__x86_64__)
    flags |= MAP_32BIT;
#endif
    void* const it =
        mmap(nullptr, kLowBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    next_ = it == MAP_FAILED ? nullptr : static_cast<char*>(it);
  }

  long Put(const void* bytes, size_t length) {
    if (next_ == nullptr || used_ + length > kLowBytes) {
      return 0;
    }
    char* const place = next_ + used_;
    memcpy(place, bytes, length);
    used_ += (length + 15) & ~size_t{15};
    return static_cast<long>(reinterpret_cast<intptr_t>(place));
  }

 private:
  char* next_ = nullptr;
  size_t used_ = 0;
};

// The error is in the result, as the kernel has it.
long Invoke(Abi abi, const Call& call) {
  const long* const a = call.arguments;
#if defined(__x86_64__)
  if (abi == Abi::kI386) {
    long result = 0;
    asm volatile("int $0x80"
                 : "=a"(result)
                 : "a"(call.number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]),
                   "D"(a[4])
                 : "memory", "r8", "r9", "r10", "r11");
    return result;
  }
  constexpr long kX32 = 0x40000000;
  const long number = abi == Abi::kX32 ? call.number | kX32 : call.number;
#else
  if (abi != Abi::kNative) {
    return -ENOSYS;
  }
  const long number = call.number;
#endif
  const long result = syscall(number, a[0], a[1], a[2], a[3], a[4]);
  return result < 0 ? -errno : result;
}

// The errno of a call in a child; the number of a signal that ended it,
// negative.
int ErrnoInChild(Abi abi, const Call& call) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return errno;
  }
  const pid_t child = fork();
  if (child == 0) {
    const long result = Invoke(abi, call);
    const int error = result < 0 ? static_cast<int>(-result) : 0;
    _exit(write(ends[1], &error, sizeof(error)) == sizeof(error) ? 0 : 1);
  }
  close(ends[1]);
  int error = 0;
  const bool told = read(ends[0], &error, sizeof(error)) == sizeof(error);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (told) {
    return error;
  }
  return WIFSIGNALED(status) ? -WTERMSIG(status) : ECHILD;
}

bool ReadAbi(std::string_view name, Abi& abi) {
  for (const auto& [known, value] :
       {std::pair("x86-64", Abi::kNative), std::pair("i386", Abi::kI386),
        std::pair("x32", Abi::kX32), std::pair("socketcall", Abi::kI386)}) {
    if (name == known) {
      abi = value;
      return true;
    }
  }
  return false;
}

long ReadArgument(const std::string& text, LowMemory& memory) {
  if (!text.empty() && text[0] == '@') {
    return memory.Put(text.c_str() + 1, text.size());
  }
  return strtol(text.c_str(), nullptr, 0);
}

Call ReadCall(const char* text, LowMemory& memory) {
  Call call;
  const std::vector<std::string_view> parts = Split(text, ':');
  for (size_t i = 0; i < parts.size() && i <= kArguments; ++i) {
    const long value = ReadArgument(std::string(parts[i]), memory);
    (i == 0 ? call.number : call.arguments[i - 1]) = value;
  }
  return call;
}

void Attempted(JsonWriter& json, std::string_view call, int error) {
  json.BeginObject().Key("call").String(call);
  ReportErrno(json, error);
  json.EndObject();
}

Call SocketCall(std::string_view abi, int family, LowMemory& memory) {
  constexpr long kSocketI386 = 359;
  constexpr long kSocketcallI386 = 102;
  Call call;
  if (abi == "socketcall") {
    const uint32_t arguments[] = {static_cast<uint32_t>(family), SOCK_DGRAM, 0};
    call.number = kSocketcallI386;
    // SYS_SOCKET of socketcall(2).
    call.arguments[0] = 1;
    call.arguments[1] = memory.Put(arguments, sizeof(arguments));
    return call;
  }
  call.number = abi == "i386" ? kSocketI386 : SYS_socket;
  call.arguments[0] = family;
  call.arguments[1] = SOCK_DGRAM;
  return call;
}

int Rewrite(const char* path) {
  const std::optional<std::string> text = ReadWhole(path);
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    return errno;
  }
  int error = 0;
  // Nothing that can be read is nothing that could be put back.
  if (text.has_value() && write(fd, text->data(), text->size()) !=
                              static_cast<ssize_t>(text->size())) {
    error = errno;
  }
  close(fd);
  return error;
}

}  // namespace

void TryCalls(JsonWriter& json, const char* abi, char** specifications,
              int count) {
  Abi which = Abi::kNative;
  json.BeginObject().Key("command").String("calls");
  json.Key("attempts").BeginArray();
  for (int i = 0; ReadAbi(abi, which) && i < count; ++i) {
    LowMemory memory;
    Attempted(json, specifications[i],
              ErrnoInChild(which, ReadCall(specifications[i], memory)));
  }
  json.EndArray().EndObject();
}

void TryFamilies(JsonWriter& json, const char* abi) {
  Abi which = Abi::kNative;
  LowMemory memory;
  json.BeginObject().Key("command").String("families");
  json.Key("attempts").BeginArray();
  for (int family = 0; ReadAbi(abi, which) && family < kFamilies; ++family) {
    Attempted(json, std::to_string(family),
              ErrnoInChild(which, SocketCall(abi, family, memory)));
  }
  json.EndArray().EndObject();
}

void TryRewrites(JsonWriter& json, char** paths, int count) {
  json.BeginObject().Key("command").String("rewrite");
  json.Key("attempts").BeginArray();
  for (int i = 0; i < count; ++i) {
    Attempted(json, paths[i], Rewrite(paths[i]));
  }
  json.EndArray().EndObject();
}

}  // namespace caisson::probe
