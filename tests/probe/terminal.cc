#include "tests/probe/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/probe/report.h"

namespace caisson::probe {
namespace {

// TIOCLINUX, shift state: asks, and changes nothing.
constexpr char kShiftState = 6;

void Push(JsonWriter& json, const std::string& name, int fd) {
  char byte = 'x';
  const int pushed = ioctl(fd, TIOCSTI, &byte);
  json.BeginObject().Key("call").String("TIOCSTI " + name);
  ReportErrno(json, pushed == 0 ? 0 : errno);
  json.EndObject();
  char request = kShiftState;
  const int asked = ioctl(fd, TIOCLINUX, &request);
  json.BeginObject().Key("call").String("TIOCLINUX " + name);
  ReportErrno(json, asked >= 0 ? 0 : errno);
  json.EndObject();
}

}  // namespace

void TryTerminal(JsonWriter& json) {
  json.BeginObject().Key("command").String("terminal");
  json.Key("session").Number(getsid(0));
  int session = -1;
  ioctl(0, TIOCGSID, &session);
  json.Key("terminal_session").Number(session);
  struct stat facts = {};
  json.Key("device");
  fstat(0, &facts) == 0 ? json.Unsigned(facts.st_rdev) : json.Null();
  json.Key("attempts").BeginArray();
  for (const int fd : {0, 1, 2}) {
    Push(json, std::to_string(fd), fd);
  }
  const int own = open("/dev/tty", O_RDWR | O_CLOEXEC);
  json.BeginObject().Key("call").String("open /dev/tty");
  ReportErrno(json, own < 0 ? errno : 0);
  json.EndObject();
  if (own >= 0) {
    Push(json, "/dev/tty", own);
    close(own);
  }
  json.EndArray().EndObject();
}

}  // namespace caisson::probe
