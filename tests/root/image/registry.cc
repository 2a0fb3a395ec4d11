#include "tests/root/image/registry.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/support/await.h"

namespace caisson::image {
namespace {

using caisson::testing::Await;
using caisson::testing::Shell;
using caisson::testing::ShellOutput;

// A listening socket on a free port, and the port.
std::pair<UniqueFd, int> Listen() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(fd.get(), 8), 0);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return {std::move(fd), ntohs(address.sin_port)};
}

int Count(const std::string& command) {
  int count = -1;
  EXPECT_TRUE(absl::SimpleAtoi(ShellOutput(command), &count)) << command;
  return count;
}

}  // namespace

Registry::Registry(const std::string& storage, const std::string& options) {
  const int port = Listen().second;
  address_ = absl::StrCat("127.0.0.1:", port);
  const std::string file = absl::StrCat(storage, "/", port, ".yml");
  std::ofstream(file) << "version: 0.1\n"
                      << "log: {level: error}\n"
                      << "storage: {filesystem: {rootdirectory: " << storage
                      << "}}\n"
                      << "http: {addr: '" << address_ << "'}\n"
                      << options;
  const char* argv[] = {"docker-registry", "serve", file.c_str(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int fd : {1, 2}) {
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
  }
  EXPECT_EQ(posix_spawnp(&pid_, argv[0], &actions, nullptr,
                         const_cast<char* const*>(argv), environ),
            0);
  posix_spawn_file_actions_destroy(&actions);
  const std::string answers =
      absl::StrCat("curl -s -o /dev/null http://", address_, "/v2/");
  EXPECT_TRUE(Await([&] { return Shell(answers) == 0; }));
}

Registry::~Registry() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void ImageTest::SetUp() {
  CAISSON_REQUIRE_ROOT();
  CAISSON_REQUIRE(Shell("command -v docker-registry >/dev/null") == 0,
                  "needs docker-registry");
  Shell(absl::StrCat("mkdir ", directory_.path(), "/blobs ", directory_.path(),
                     "/hosts"));
  registry_ = std::make_unique<Registry>(directory_.path() + "/blobs", "");
  OpenStore();
}

void ImageTest::TearDown() {
  store_.reset();
  const std::string mounts = directory_.path() + "/mounts/*";
  Shell(absl::StrCat("umount ", mounts, " 2>/dev/null"));
}

void ImageTest::OpenStore() {
  store_.reset();
  ImageStore::Options options;
  options.root = directory_.path() + "/store";
  options.mount_dir = directory_.path() + "/mounts";
  options.hosts_dir = directory_.path() + "/hosts";
  options.puller_binary = CAISSON_BIN_DIR "/caisson-puller";
  absl::StatusOr<std::unique_ptr<ImageStore>> store = ImageStore::Open(options);
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = std::move(*store);
}

std::string ImageTest::MakeLayer(const std::string& name,
                                 const std::string& commands) {
  const std::string path = absl::StrCat(directory_.path(), "/", name);
  EXPECT_EQ(Shell(absl::StrCat("mkdir ", path, " && cd ", path, " && { ",
                               commands, "; } && tar -cf ", path, ".tar .")),
            0);
  return path + ".tar";
}

std::string ImageTest::Push(const std::string& name,
                            const std::vector<std::string>& layers,
                            const std::string& options) {
  std::string command =
      absl::StrCat("python3 " CAISSON_SUPPORT_DIR "/push_image.py --registry ",
                   registry_->address(), " --name ", name, " ", options);
  for (const std::string& layer : layers) {
    absl::StrAppend(&command, " --layer ", layer);
  }
  return ShellOutput(command);
}

std::string ImageTest::At(const std::string& name) const {
  return absl::StrCat(registry_->address(), "/", name);
}

std::string ImageTest::BlobFile(const std::string& digest) const {
  const std::string hex = digest.substr(sizeof("sha256:") - 1);
  return absl::StrCat(directory_.path(),
                      "/blobs/docker/registry/v2/blobs/sha256/",
                      hex.substr(0, 2), "/", hex, "/data");
}

void ImageTest::Redirect(const std::string& registry, const std::string& url) {
  const std::string path = absl::StrCat(directory_.path(), "/hosts/", registry);
  Shell(absl::StrCat("mkdir -p ", path));
  std::ofstream(path + "/hosts.toml") << "server = \"" << url << "\"\n";
}

int ImageTest::LayerFiles() const {
  return Count(absl::StrCat("ls ", directory_.path(),
                            "/store/layers/*.erofs 2>/dev/null | wc -l"));
}

int ImageTest::StagingFiles() const {
  return Count(
      absl::StrCat("ls ", directory_.path(), "/store/layers/staging | wc -l"));
}

int ImageTest::Mounts() const {
  return Count(absl::StrCat("grep -c ' ", directory_.path(),
                            "/mounts/' /proc/self/mountinfo || true"));
}

SilentServer::SilentServer() {
  auto [socket, port] = Listen();
  socket_ = std::move(socket);
  url_ = absl::StrCat("http://127.0.0.1:", port);
}

}  // namespace caisson::image
