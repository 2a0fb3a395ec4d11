#include "shim/ctl/arguments.h"

#include <CLI/CLI.hpp>

#include "shim/config/config.h"

namespace caisson::ctl {
namespace {

void AddRun(CLI::App& app, Arguments& arguments) {
  RunOptions& run = arguments.run;
  CLI::App* command = app.add_subcommand(
      "run", "Run a command in a new pod, show its output, remove the pod");
  command->add_option("IMAGE", run.image, "Image reference")->required();
  command->add_option("CMD", run.command,
                      "Program and arguments after --; else the image's");
  command->add_option("--name", run.name, "Name of the pod");
  command->add_option("--handler", run.handler,
                      "Runtime handler; else the default one");
  command->add_option("--user", run.user, "UID, UID:GID or a user's name");
  command->add_flag("--host-network", run.host_network,
                    "Share the host's network");
  command->add_flag("--pull", run.pull_always,
                    "Pull even when the image is present");
  // One value an option: IMAGE may follow it.
  command->add_option("--mount", run.mounts, "HOST:CONTAINER[:ro]")
      ->allow_extra_args(false);
  command->add_option("--env", run.environment, "NAME=VALUE")
      ->allow_extra_args(false);
  command->callback([&arguments] { arguments.command = Command::kRun; });
}

void AddSimple(CLI::App& app, const char* name, const char* help, Command value,
               Arguments& arguments) {
  app.add_subcommand(name, help)->callback([&arguments, value] {
    arguments.command = value;
  });
}

}  // namespace

Arguments ParseArguments(int argc, char** argv, int& exit_code) {
  Arguments arguments;
  const config::Config defaults;
  arguments.endpoint = "unix://" + defaults.socket;
  CLI::App app("Operates the caisson container runtime.", "caissonctl");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--runtime-endpoint", arguments.endpoint, "CRI socket")
      ->envname("CONTAINER_RUNTIME_ENDPOINT")
      ->capture_default_str();
  AddRun(app, arguments);
  AddSimple(app, "ps", "List pods and containers with their host ids",
            Command::kPs, arguments);
  CLI::App* remove = app.add_subcommand("remove", "Stop and remove pods");
  bool all = false;
  remove->add_flag("--all", all, "Every pod there is")->required();
  remove->callback([&arguments] { arguments.command = Command::kRemoveAll; });
  AddSimple(app, "check", "Say what this machine lacks and what that costs",
            Command::kCheck, arguments);
  CLI::App* config = app.add_subcommand("config", "Configuration");
  config->require_subcommand(1);
  AddSimple(*config, "default", "Print the defaults as a commented file",
            Command::kConfigDefault, arguments);
  AddSimple(app, "version", "Print versions of this program and the daemon",
            Command::kVersion, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    arguments.command = Command::kNone;
    exit_code = app.exit(error) == 0 ? 0 : 2;
  }
  return arguments;
}

}  // namespace caisson::ctl
