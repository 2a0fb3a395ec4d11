#!/usr/bin/env bash
# absl::Mutex and absl::CondVar as Debian 12 has them.
#
# Guessed:  absl::CondVar::WaitWithTimeout(100 ms) waits for a span of time, as
#           std::condition_variable::wait_for does; and what absl::Mutex guards
#           is as clean to ThreadSanitizer as what std::mutex guards.
# Seen:     The wait is for a moment of CLOCK_REALTIME: a step of the wall clock
#           back by an hour while it waits makes it an hour longer.  And
#           ThreadSanitizer reports a data race between two holders of the lock,
#           for it has to be told of each, which only a library built for it
#           does; a program's own -fsanitize=thread changes nothing in it.
# Versions: libabsl20220623 and libabsl-dev 20220623.1-1+deb12u2 of Debian 12,
#           g++ 12, glibc 2.36.
# Source:   absl/synchronization/internal/waiter.cc (FutexImpl::WaitUntil) and
#           mutex.cc (the ABSL_TSAN_MUTEX_ macros) of that version; futex(2).
#
# Needs Debian 12 with apt-get, g++, pkg-config and strace; no root.  Prints
# what it saw and fails where that is not what stands above.
set -euo pipefail

version=20220623.1-1+deb12u2
for tool in apt-get dpkg g++ pkg-config strace; do
  command -v "$tool" >/dev/null || { echo "$tool is needed" >&2; exit 2; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq "libabsl-dev=$version" "libabsl20220623=$version" 2>"$dir/apt.log" ||
  { cat "$dir/apt.log" >&2; echo "Abseil $version is not to be had" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
libraries=$dir/root/usr/lib/$(g++ -print-multiarch)
flags=$(PKG_CONFIG_SYSROOT_DIR=$dir/root PKG_CONFIG_LIBDIR=$libraries/pkgconfig \
  pkg-config --cflags --libs absl_synchronization)
export LD_LIBRARY_PATH=$libraries

cat >wait.cc <<'EOF'
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

int main(int argc, char**) {
  if (argc == 1) {
    absl::Mutex mutex;
    absl::CondVar changed;
    const absl::MutexLock lock(&mutex);
    changed.WaitWithTimeout(&mutex, absl::Milliseconds(100));
  } else {
    std::mutex mutex;
    std::condition_variable changed;
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait_for(lock, std::chrono::milliseconds(100));
  }
}
EOF
cat >race.cc <<'EOF'
#include <mutex>
#include <thread>

#include "absl/synchronization/mutex.h"

#ifdef STD
std::mutex mutex;
using Lock = std::lock_guard<std::mutex>;
#define MUTEX mutex
#else
absl::Mutex mutex;
using Lock = absl::MutexLock;
#define MUTEX &mutex
#endif
int counter = 0;

void Count() {
  for (int i = 0; i < 10000; ++i) {
    const Lock lock(MUTEX);
    ++counter;
  }
}

int main() {
  std::thread first(Count);
  std::thread second(Count);
  first.join();
  second.join();
  return counter == 20000 ? 0 : 1;
}
EOF
# shellcheck disable=SC2086
{
  g++ -std=c++17 wait.cc -o wait $flags
  g++ -std=c++17 -g -fsanitize=thread race.cc -o race_absl $flags
  g++ -std=c++17 -g -fsanitize=thread -DSTD race.cc -o race_std $flags
}

failed=0
expect() { # expect WHAT WANTED SEEN
  echo "$1: $3"
  [[ $2 == "$3" ]] || { echo "  it was: $2" >&2; failed=1; }
}
clock_of() { # clock_of ARGUMENT...: of the one wait with a timeout
  strace -f -e trace=futex -o trace ./wait "$@"
  grep -oE 'FUTEX_WAIT_BITSET[A-Z_|]*' trace | tail -1
}
races() { # races PROGRAM
  TSAN_OPTIONS=exitcode=0 "./$1" 2>&1 | grep -c 'WARNING: ThreadSanitizer: data race' || true
}
expect "absl::CondVar waits by" \
  'FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME' "$(clock_of)"
expect "std::condition_variable waits by" 'FUTEX_WAIT_BITSET_PRIVATE' "$(clock_of std)"
found=$(races race_absl)
expect "ThreadSanitizer reports races of absl::Mutex" yes "$( ((found)) && echo yes || echo no)"
expect "ThreadSanitizer reports races of std::mutex" 0 "$(races race_std)"
exit "$failed"
