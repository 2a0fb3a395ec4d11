#include <map>
#include <mutex>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/seccomp/filter.h"
#include "runtime/seccomp/profile.h"

namespace caisson::seccomp {
namespace {

// Clients name profiles at will; the cache doesn't grow with them.
constexpr size_t kMaxCached = 64;

class CachingCompiler : public Compiler {
 public:
  absl::StatusOr<std::string> Compile(absl::string_view profile,
                                      uint64_t capabilities) override {
    // The text itself is the key: a hash could be made to collide.
    const Key key(std::string(profile), capabilities);
    {
      std::lock_guard<std::mutex> lock(cache_mutex_);
      const auto found = cache_.find(key);
      if (found != cache_.end()) {
        return found->second;
      }
    }
    ASSIGN_OR_RETURN(std::string program, CompileAlone(key));
    std::lock_guard<std::mutex> lock(cache_mutex_);
    if (cache_.size() >= kMaxCached) {
      cache_.clear();
    }
    cache_[key] = program;
    return program;
  }

 private:
  using Key = std::pair<std::string, uint64_t>;

  // libseccomp probes the kernel into globals at first use.
  absl::StatusOr<std::string> CompileAlone(const Key& key) {
    std::lock_guard<std::mutex> lock(compile_mutex_);
    return CompileProfile(key.first, key.second);
  }

  std::mutex compile_mutex_;
  std::mutex cache_mutex_;
  std::map<Key, std::string> cache_;
};

}  // namespace

std::unique_ptr<Compiler> Compiler::Create() {
  return std::make_unique<CachingCompiler>();
}

}  // namespace caisson::seccomp
