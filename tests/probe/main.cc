// caisson-probe: runs inside a container and says as JSON what the kernel says
// about it, or tries what a hostile process would.  Tests assert on its
// output, not on what the runtime believes of itself.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/probe/attempts.h"
#include "tests/probe/calls.h"
#include "tests/probe/hold.h"
#include "tests/probe/joiner.h"
#include "tests/probe/json_writer.h"
#include "tests/probe/load.h"
#include "tests/probe/report.h"
#include "tests/probe/terminal.h"

namespace caisson::probe {
namespace {

struct Command {
  std::string_view name;
  int arguments;
  const char* usage;
  int (*run)(char** arguments, int count);
};

// The report of one command that writes JSON.
template <typename Body>
int Reported(Body body) {
  JsonWriter json;
  body(json);
  return Print(json.text()) ? 0 : 1;
}

uint64_t Count(const char* text) {
  return strtoull(text, nullptr, 10);
}

constexpr Command kCommands[] = {
    {"report", 0, "",
     [](char**, int) { return Reported([](auto& json) { Report(json); }); }},
    {"try-remount", 1, "PATH",
     [](char** a, int) {
       return Reported([&](auto& json) { TryRemount(json, a[0]); });
     }},
    {"write", 2, "PATH TEXT",
     [](char** a, int) {
       return Reported([&](auto& json) { TryWrite(json, a[0], a[1]); });
     }},
    {"read", 1, "PATH",
     [](char** a, int) {
       return Reported([&](auto& json) { TryRead(json, a[0]); });
     }},
    {"exec", 1, "PATH",
     [](char** a, int) {
       return Reported([&](auto& json) { TryExecute(json, a[0]); });
     }},
    {"open", 2, "PATH r|w|rw",
     [](char** a, int) {
       return Reported([&](auto& json) { TryOpen(json, a[0], a[1]); });
     }},
    {"stat", 1, "PATH",
     [](char** a, int) {
       return Reported([&](auto& json) { TryStat(json, a[0]); });
     }},
    {"kill", 2, "PID SIGNAL",
     [](char** a, int) {
       return Reported([&](auto& json) { TryKill(json, a[0], a[1]); });
     }},
    {"mknod", 1, "PATH",
     [](char** a, int) {
       return Reported([&](auto& json) { TryMknod(json, a[0]); });
     }},
    {"unshare-user", 0, "",
     [](char**, int) {
       return Reported([](auto& json) { TryUnshareUser(json); });
     }},
    {"keyctl", 0, "",
     [](char**, int) { return Reported([](auto& json) { TryKeyctl(json); }); }},
    {"socket", 1, "FAMILY",
     [](char** a, int) {
       return Reported([&](auto& json) { TrySocket(json, a[0]); });
     }},
    {"calls", 2, "x86-64|i386|x32 NUMBER[:ARGUMENT...]...",
     [](char** a, int count) {
       return Reported(
           [&](auto& json) { TryCalls(json, a[0], a + 1, count - 1); });
     }},
    {"families", 1, "x86-64|i386|x32|socketcall",
     [](char** a, int) {
       return Reported([&](auto& json) { TryFamilies(json, a[0]); });
     }},
    {"rewrite", 1, "PATH...",
     [](char** a, int count) {
       return Reported([&](auto& json) { TryRewrites(json, a, count); });
     }},
    {"hold", 2, "inotify|watches|user|mnt|net MOST",
     [](char** a, int) { return Hold(a[0], Count(a[1])); }},
    {"attack", 1, "PID",
     [](char** a, int) {
       return Reported([&](auto& json) { TryJoiner(json, a[0]); });
     }},
    {"attack-on-demand", 2, "FIFO FIFO",
     [](char** a, int) { return AttackOnDemand(a[0], a[1]); }},
    {"spy", 2, "DEVICE INODE",
     [](char** a, int) {
       return Spy({Count(a[0]), Count(a[1])});
     }},
    {"terminal", 0, "",
     [](char**, int) {
       return Reported([](auto& json) { TryTerminal(json); });
     }},
    {"swarm", 1, "COUNT", [](char** a, int) { return Swarm(Count(a[0])); }},
    {"bomb", 0, "", [](char**, int) { return Bomb(); }},
    {"sleep", 0, "", [](char**, int) { return Sleep(); }},
    {"echo-loop", 0, "", [](char**, int) { return Echo(); }},
    {"exit", 1, "CODE", [](char** a, int) { return atoi(a[0]); }},
    {"print-lines", 2, "COUNT SIZE",
     [](char** a, int) { return PrintLines(Count(a[0]), Count(a[1])); }},
    {"allocate", 1, "BYTES [hold]",
     [](char** a, int count) { return Allocate(Count(a[0]), count > 1); }},
};

int Usage() {
  for (const Command& command : kCommands) {
    fprintf(stderr, "caisson-probe %s %s\n", command.name.data(),
            command.usage);
  }
  return 2;
}

int Main(int argc, char** argv) {
  if (argc < 2) {
    return Reported([](auto& json) { Report(json); });
  }
  for (const Command& command : kCommands) {
    if (command.name == argv[1] && argc - 2 >= command.arguments) {
      return command.run(argv + 2, argc - 2);
    }
  }
  return Usage();
}

}  // namespace
}  // namespace caisson::probe

int main(int argc, char** argv) {
  return caisson::probe::Main(argc, argv);
}
