#include "tests/support/keeper_fixture.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/identity/capabilities.h"

namespace caisson::testing {
namespace {

constexpr auto kExitTimeout = std::chrono::seconds(30);

void FillProcess(const std::vector<std::string>& argv,
                 keeper::v1::Process& process) {
  process.mutable_argv()->Assign(argv.begin(), argv.end());
  process.add_env("PATH=/bin");
  process.set_working_directory("/");
  process.add_groups(0);
  process.set_umask(022);
  const auto sets = identity::ResolveCapabilities({}, 0);
  keeper::v1::Capabilities& capabilities = *process.mutable_capabilities();
  capabilities.set_bounding(sets->bounding);
  capabilities.set_permitted(sets->permitted);
  capabilities.set_effective(sets->effective);
}

}  // namespace

void KeeperFixture::SetUp() {
  CAISSON_REQUIRE_ROOT();
  directory_ = std::make_unique<TemporaryDirectory>();
  auto layout = cgroup::DetectLayout(directory_->path() + "/cgroup2");
  ASSERT_TRUE(layout.ok()) << layout.status();
  layout_ = *layout;
  cgroup_ = absl::StrCat("caisson-test.", getpid());
  cgroups_ = {cgroup_ + "/keepers"};
  ASSERT_TRUE(cgroup::Cgroup::Create(layout_, cgroups_[0]).ok());
  MakeLayer();
  pod::KeeperFactory::Options options;
  options.binary = CAISSON_BIN_DIR "/caisson-keeper";
  options.keepers_cgroup = absl::StrCat(layout_.unified, "/", cgroups_[0]);
  options.allow_faults = true;
  auto factory = pod::KeeperFactory::Start(options);
  ASSERT_TRUE(factory.ok()) << factory.status();
  factory_ = std::move(*factory);
  StartKeeper();
}

pod::Keeper::Options KeeperFixture::KeeperOptions() {
  pod::Keeper::Options options;
  options.socket_path = directory_->path() + "/keeper.sock";
  options.post = [this](std::function<void()> task) {
    pool_.Post(std::move(task));
  };
  options.events.exited = [this](const keeper::v1::Exited& exited) {
    const std::lock_guard<std::mutex> lock(mutex_);
    exit_codes_[exited.id()] = exited.exit_code();
    changed_.notify_all();
  };
  options.events.described = [this](const keeper::v1::PodDescription& now) {
    const std::lock_guard<std::mutex> lock(mutex_);
    described_ = now;
    ++times_described_;
    changed_.notify_all();
  };
  options.events.ended = [this] {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++ended_;
    changed_.notify_all();
  };
  return options;
}

void KeeperFixture::StartKeeper() {
  keeper_.reset();
  auto fresh = factory_->Fork(Soon());
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  keeper_pid_ = fresh->identity.pid;
  keeper_ = pod::Keeper::Adopt(std::move(*fresh), KeeperOptions());
}

bool KeeperFixture::Await(const std::function<bool()>& condition) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, kExitTimeout, condition);
}

void KeeperFixture::TearDown() {
  if (keeper_ != nullptr) {
    EXPECT_TRUE(keeper_->Shutdown(Soon()).ok());
    keeper_.reset();
  }
  factory_.reset();
  for (auto it = cgroups_.rbegin(); it != cgroups_.rend(); ++it) {
    auto cgroup = cgroup::Cgroup::Open(layout_, *it);
    if (cgroup.ok()) {
      EXPECT_TRUE(cgroup->Kill().ok());
      EXPECT_TRUE(
          cgroup->WaitUntilEmpty(Deadline::After(absl::Seconds(10))).ok());
      EXPECT_TRUE(cgroup->Destroy().ok());
    }
  }
  if (auto top = cgroup::Cgroup::Open(layout_, cgroup_); top.ok()) {
    EXPECT_TRUE(top->Destroy().ok());
  }
  if (directory_ != nullptr) {
    umount2((directory_->path() + "/layer").c_str(), MNT_DETACH);
  }
}

void KeeperFixture::MakeLayer() {
  const std::string& base = directory_->path();
  ASSERT_EQ(Shell(absl::StrCat(
                "cd ", base,
                " && mkdir -p root/bin root/etc root/tmp layer pod && "
                "cp /bin/busybox root/bin/busybox && for a in sh id cat ls "
                "sleep echo mount umount touch true false stat readlink kill "
                "ps hostname; do ln -s busybox root/bin/$a; done && "
                "chmod 1777 root/tmp && echo root:x:0:0::/:/bin/sh > "
                "root/etc/passwd && mkfs.erofs --quiet layer.erofs root && "
                "mount -t erofs -o ro ",
                base, "/layer.erofs ", base, "/layer")),
            0);
}

pod::WithFds<keeper::v1::PodPlan> KeeperFixture::PodPlan() {
  pod::WithFds<keeper::v1::PodPlan> plan;
  plan.message.set_pod_id("pod");
  for (auto* map : {plan.message.mutable_uids(), plan.message.mutable_gids()}) {
    keeper::v1::IdExtent& extent = *map->Add();
    extent.set_host_id(first_id_);
    extent.set_length(65536);
  }
  plan.message.set_own_network(true);
  plan.message.set_own_ipc(true);
  plan.message.set_own_uts(true);
  plan.message.set_hostname("box");
  plan.message.set_shm_bytes(67108864);
  plan.message.set_mount_directory(directory_->path() + "/pod");
  auto listener = pod::Keeper::Listen(directory_->path() + "/keeper.sock");
  EXPECT_TRUE(listener.ok()) << listener.status();
  if (listener.ok()) {
    plan.message.set_listener_fd(plan.Attach(std::move(*listener)));
  }
  return plan;
}

pod::WithFds<keeper::v1::ContainerPlan> KeeperFixture::ContainerPlan(
    const std::string& id, const std::vector<std::string>& argv) {
  pod::WithFds<keeper::v1::ContainerPlan> plan;
  keeper::v1::ContainerPlan& message = plan.message;
  message.set_container_id(id);
  message.add_layers(directory_->path() + "/layer");
  const std::string home =
      absl::StrCat(directory_->path(), "/c", containers_++);
  mkdir(home.c_str(), 0700);
  for (const char* name : {"/upper", "/work"}) {
    mkdir((home + name).c_str(), 0755);
  }
  EXPECT_EQ(chown((home + "/upper").c_str(), first_id_, first_id_), 0);
  message.set_home_directory(home);
  FillProcess(argv, *message.mutable_process());
  const std::string path = absl::StrCat(cgroup_, "/", id);
  cgroups_.push_back(path);
  auto cgroup = cgroup::Cgroup::Create(layout_, path);
  EXPECT_TRUE(cgroup.ok()) << cgroup.status();
  message.mutable_cgroup()->set_unified_fd(
      plan.Attach(std::move(cgroup->OpenUnified()).value()));
  auto tasks = cgroup->OpenTasks();
  for (UniqueFd& fd : *tasks) {
    message.mutable_cgroup()->add_tasks_fds(plan.Attach(std::move(fd)));
  }
  const std::string log = directory_->path() + "/log";
  message.set_log_fd(plan.Attach(UniqueFd(
      open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640))));
  return plan;
}

pod::WithFds<keeper::v1::ExecPlan> KeeperFixture::ExecPlan(
    const std::string& exec_id, const std::string& container_id,
    const std::vector<std::string>& argv) {
  pod::WithFds<keeper::v1::ExecPlan> plan;
  plan.message.set_exec_id(exec_id);
  plan.message.set_container_id(container_id);
  plan.message.mutable_argv()->Assign(argv.begin(), argv.end());
  auto cgroup =
      cgroup::Cgroup::Open(layout_, absl::StrCat(cgroup_, "/", container_id));
  EXPECT_TRUE(cgroup.ok()) << cgroup.status();
  plan.message.mutable_cgroup()->set_unified_fd(
      plan.Attach(std::move(cgroup->OpenUnified()).value()));
  auto tasks = cgroup->OpenTasks();
  for (UniqueFd& fd : *tasks) {
    plan.message.mutable_cgroup()->add_tasks_fds(plan.Attach(std::move(fd)));
  }
  return plan;
}

int KeeperFixture::AwaitExit(const std::string& id) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!changed_.wait_for(lock, kExitTimeout,
                         [&] { return exit_codes_.contains(id); })) {
    ADD_FAILURE() << id << " did not end";
    return -1;
  }
  return exit_codes_[id];
}

bool KeeperFixture::HasExited(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return exit_codes_.contains(id);
}

std::string KeeperFixture::AddCgroup(const std::string& name) {
  const std::string path = absl::StrCat(cgroup_, "/", name);
  cgroups_.push_back(path);
  EXPECT_TRUE(cgroup::Cgroup::Create(layout_, path).ok());
  return path;
}

std::string KeeperFixture::Run(const std::vector<std::string>& argv) {
  const std::string id = absl::StrCat("run", containers_);
  const size_t before = LogText().size();
  auto created = keeper_->CreateContainer(ContainerPlan(id, argv), Soon());
  EXPECT_TRUE(created.ok()) << created.status();
  if (!created.ok()) {
    return "";
  }
  auto started = keeper_->StartContainer(id, "", Soon());
  EXPECT_TRUE(started.ok()) << started.status();
  if (started.ok()) {
    EXPECT_EQ(AwaitExit(id), 0);
  }
  EXPECT_TRUE(keeper_->RemoveContainer(id, Soon()).ok());
  return LogText().substr(before);
}

std::string KeeperFixture::LogText() const {
  const std::string log = ReadFile(directory_->path() + "/log");
  std::string text;
  for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 3));
    if (parts.size() == 4) {
      absl::StrAppend(&text, parts[3], parts[2] == "F" ? "\n" : "");
    }
  }
  return text;
}

std::vector<int> KeeperFixture::ProcessesLeft() {
  std::vector<int> all;
  for (const std::string& path : cgroups_) {
    if (path.ends_with("/keepers")) {
      continue;
    }
    auto cgroup = cgroup::Cgroup::Open(layout_, path);
    if (!cgroup.ok()) {
      continue;
    }
    auto pids = cgroup->Processes();
    if (pids.ok()) {
      all.insert(all.end(), pids->begin(), pids->end());
    }
  }
  return all;
}

}  // namespace caisson::testing
