#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/security/mount_attack.h"
#include "tests/support/machine.h"

// Group B: /dev of an image or a volume, masks and terminals.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::ReadFile;
using ::caisson::testing::Shell;
using ::testing::HasSubstr;

constexpr char kKnob[] = "/proc/sys/kernel/core_pattern";

class DevEscapeTest : public MountAttackTest {
 protected:
  // A volume that has what a /dev needs, but for its null device.
  std::string Dev() {
    const std::string dev = Volume();
    for (const char* name : {"pts", "shm", "mqueue"}) {
      fs::create_directory(dev + "/" + name);
    }
    return dev;
  }

  static void Null(const std::string& path) {
    EXPECT_EQ(mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  }

  grpc::Status TryDev(const std::string& dev, bool tty = false) {
    return TryCreate(OnePod(), [&](auto& it) {
      Mount(it, dev, "/dev");
      it.set_tty(tty);
    });
  }

  // Every masked path of the usual ones is the null device or an empty
  // directory, and neither is of procfs or sysfs.
  void ExpectMasked(const std::string& container) {
    for (const char* path : {"/proc/kcore", "/proc/keys", "/proc/timer_list"}) {
      const Json seen = Probe(container, {"stat", path});
      if (seen.contains("inode")) {
        EXPECT_EQ(seen["type"], S_IFCHR) << path;
        EXPECT_EQ(seen["rdev_major"], 1) << path;
        EXPECT_EQ(seen["rdev_minor"], 3) << path;
      }
    }
    EXPECT_EQ(Sh(container,
                 "for d in /proc/acpi /sys/firmware; do "
                 "[ -d $d ] && ls -A $d; done")
                  .text,
              "");
    for (const std::string& mount : MountsInside(container)) {
      if (absl::StrContains(mount, " /proc/k")) {
        EXPECT_FALSE(absl::StrContains(mount, " - proc ")) << mount;
      }
    }
  }

  // The container's terminal is one of a devpts.
  void ExpectTerminal(const std::string& container) {
    struct stat facts = {};
    ASSERT_EQ(
        stat(absl::StrCat("/proc/", PidOf(container), "/fd/0").c_str(), &facts),
        0);
    EXPECT_TRUE(S_ISCHR(facts.st_mode));
    EXPECT_EQ(major(facts.st_rdev), 136u);
  }
};

CAISSON_BOTH_MODES(DevEscapeTest);

// CVE-2025-31133, CVE-2025-62161: what masks is the null device or nothing.
TEST_P(DevEscapeTest, B8OnlyTheNullDeviceMasks) {
  const std::string dev = Dev();
  const std::string null = dev + "/null";
  std::ofstream(dev + "/file") << "x";
  for (const char* target :
       {kKnob, "/proc/sysrq-trigger", "/proc/keys", "file", "/etc/passwd"}) {
    SCOPED_TRACE(target);
    fs::create_symlink(target, null);
    // Some kernels lack the file that it leads to.
    ExpectRefused(TryDev(dev), "hide-kernel-paths: ");
    fs::remove(null);
  }
  EXPECT_EQ(mkfifo(null.c_str(), 0666), 0);
  ExpectRefused(TryDev(dev), "check /dev/null: not the null device");
  fs::remove(null);
  EXPECT_EQ(mknod(null.c_str(), S_IFCHR | 0666, makedev(1, 8)), 0);
  ExpectRefused(TryDev(dev), "check /dev/null: not the null device");
  fs::remove(null);
  // The same with what it should be.
  Null(null);
  const grpc::Status status = TryDev(dev);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ExpectMasked(status.error_message());
}

// The same while the volume's other owner exchanges it.
TEST_P(DevEscapeTest, B8ExchangedWhileItMasks) {
  const std::string dev = Dev();
  Null(dev + "/null");
  fs::create_symlink(kKnob, dev + "/link");
  int started = 0;
  const Exchanger attack(dev + "/null", dev + "/link");
  for (int i = 0; i < Tries(60); ++i) {
    const grpc::Status status = TryDev(dev);
    if (!status.ok()) {
      EXPECT_THAT(status.error_message(), HasSubstr("not the null device"));
      continue;
    }
    ++started;
    ExpectMasked(status.error_message());
    RemoveContainer(status.error_message());
  }
  RecordProperty("started", started);
}

// A mask that can't be made is an error; only an absent path is skipped.
TEST_P(DevEscapeTest, B9AMaskThatCannotBeMadeIsAnError) {
  ExpectRefused(TryDev(Dev()), "hide-kernel-paths: open /dev/null: No such");
  const std::string image = Image(Json::array({Link("loop", "loop")}));
  for (const char* path : {"/etc/passwd/x", "/loop", "/loop/x",
                           "/proc/1/root/etc", "/proc/self/exe"}) {
    SCOPED_TRACE(path);
    const grpc::Status status = TryImage(image, [&](auto& it) {
      it.mutable_linux()->mutable_security_context()->add_masked_paths(path);
    });
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.error_message(), HasSubstr("hide-kernel-paths"));
  }
  const grpc::Status absent = TryImage(image, [](auto& it) {
    it.mutable_linux()->mutable_security_context()->add_masked_paths("/no/x");
  });
  EXPECT_TRUE(absent.ok()) << absent.error_message();
  ExpectMasked(Start(OnePod()));
}

// CVE-2025-52565: names below /dev/pts are the kernel's.
TEST_P(DevEscapeTest, B12TheTerminalIsOfTheContainersOwnDevpts) {
  const std::string dev = Dev();
  Null(dev + "/null");
  for (const std::string& ptmx : {dev + "/ptmx", dev + "/pts/ptmx"}) {
    fs::create_symlink(kKnob, ptmx);
  }
  for (int i = 0; i < 100; ++i) {
    fs::create_symlink(kKnob, absl::StrCat(dev, "/pts/", i));
  }
  const grpc::Status status = TryDev(dev, true);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ExpectTerminal(status.error_message());
  // A volume that would be hidden by it is refused.
  ExpectRefused(TryCreate(OnePod(),
                          [&](auto& it) {
                            Mount(it, dev + "/pts", "/dev/pts");
                            it.set_tty(true);
                          }),
                "not what this path leads to");
  // Nor is a link taken for its directory.
  fs::remove_all(dev + "/pts");
  fs::create_symlink("shm", dev + "/pts");
  ExpectRefused(TryDev(dev, true), "not a directory of its own");
}

// The same while the directory below the container's devpts is exchanged for
// one with a multiplexer that is none.
TEST_P(DevEscapeTest, B12ExchangedBelowTheDevpts) {
  // The exchange gives the terminal another name.
  audits_ = false;
  const std::string dev = Dev();
  Null(dev + "/null");
  fs::create_directory(dev + "/evil");
  std::ofstream(dev + "/evil/ptmx") << "kept";
  int started = 0;
  {
    const Exchanger attack(dev + "/pts", dev + "/evil");
    for (int i = 0; i < Tries(60); ++i) {
      const grpc::Status status = TryDev(dev, true);
      if (status.ok()) {
        ++started;
        ExpectTerminal(status.error_message());
        RemoveContainer(status.error_message());
        continue;
      }
      EXPECT_THAT(
          status.error_message(),
          ::testing::AnyOf(HasSubstr("not a pseudo-terminal multiplexer"),
                           HasSubstr("open /dev/pts/ptmx: No such file"),
                           HasSubstr("attach mount")));
    }
  }
  RecordProperty("started", started);
  EXPECT_EQ(ReadFile(dev + (fs::exists(dev + "/evil/ptmx") ? "/evil/ptmx"
                                                           : "/pts/ptmx")),
            "kept");
}

// Nothing is created at /dev/console, nor truncated behind it.
TEST_P(DevEscapeTest, B13ALinkAtTheConsoleKeepsItsTarget) {
  const std::string image =
      Image(Json::array({Link("dev/console", "/etc/important"),
                         File("etc/important", "precious")}));
  const std::string dev = Dev();
  Null(dev + "/null");
  fs::create_symlink("/volume/file", dev + "/console");
  const std::string volume = Volume();
  std::ofstream(volume + "/file") << "precious";
  for (const bool bind : {false, true}) {
    const grpc::Status status = TryImage(image, [&](auto& it) {
      it.set_tty(true);
      Mount(it, volume, "/volume");
      if (bind) {
        Mount(it, dev, "/dev");
      }
    });
    ASSERT_TRUE(status.ok()) << status.error_message();
    ExpectTerminal(status.error_message());
    EXPECT_EQ(Read(status.error_message(), "/etc/important"), "precious");
    EXPECT_EQ(ReadFile(volume + "/file"), "precious");
  }
}

// CVE-2026-41579.
TEST_P(DevEscapeTest, B17DevAsALinkChangesNothingOutside) {
  const Canary canary;
  std::ofstream(canary.path() + "/ptmx") << "kept";
  const std::string before = canary.Fingerprint();
  for (const std::string& target :
       {canary.path(), absl::StrCat("../../../..", canary.path())}) {
    ExpectRefused(TryImage(Image(Json::array({Link("dev", target)}))),
                  "open /dev of the image: not a directory of its own");
  }
  const grpc::Status status =
      TryImage(Image(Json::array({Link("dev/ptmx", canary.path() + "/marker"),
                                  Link("dev/pts", canary.path()),
                                  Link("dev/null", canary.path() + "/marker"),
                                  Link("dev/fd", canary.path())})));
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::string& id = status.error_message();
  EXPECT_THAT(MountsInside(id),
              ::testing::Contains(::testing::AllOf(HasSubstr(" / /dev "),
                                                   HasSubstr(" - tmpfs "))));
  EXPECT_EQ(Sh(id, "readlink /dev/ptmx").text, "pts/ptmx\n");
  EXPECT_EQ(canary.Fingerprint(), before);
}

// CVE-2026-47766: the same with devices of the request.
TEST_P(DevEscapeTest, B18DevicesAreMadeInsideOnly) {
  const Canary canary;
  const std::string before = canary.Fingerprint();
  const auto devices = [](const std::string& path) {
    return [=](cri::ContainerConfig& it) {
      cri::Device& device = *it.add_devices();
      device.set_host_path("/dev/null");
      device.set_container_path(path);
      device.set_permissions("rwm");
    };
  };
  const std::string linked =
      Image(Json::array({Link("dev", "outside-dev"), Directory("outside-dev"),
                         File("outside-dev/ptmx", "marker")}));
  ExpectRefused(TryImage(linked), "not a directory of its own");
  ExpectRefused(TryImage(linked, devices("/dev/mine")),
                "not a directory of its own");
  // A device's own path: its links are the image's.
  const std::string image = Image(Json::array(
      {Link("out", canary.path()), Link("in", "/opt"), Directory("opt")}));
  for (const auto& [path, place] :
       {std::pair<std::string, std::string>("/in/null", "/opt/null"),
        {"/out/null", canary.path() + "/null"},
        {"/out/marker", canary.path() + "/marker"}}) {
    const grpc::Status status = TryImage(image, devices(path));
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(Probe(status.error_message(), {"stat", place})["rdev_minor"], 3)
        << path;
  }
  EXPECT_EQ(canary.Fingerprint(), before);
}

}  // namespace
}  // namespace caisson::cri_test
