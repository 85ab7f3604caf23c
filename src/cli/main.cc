// One of the four places that catch: here an error ends the process, with one line on stderr and
// an exit code that scripts can tell apart.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>
#include <vector>

#include "base/error.h"
#include "cli/command_table.h"

namespace nvllm::cli {
namespace {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return kUsageError;
    case ErrorKind::kUnavailable:
      return kUnavailable;
    case ErrorKind::kOutOfBudget:
      return kHostUnfit;
    case ErrorKind::kNotFound:
    case ErrorKind::kBadFile:
    case ErrorKind::kUnsupported:
    case ErrorKind::kDevice:
    case ErrorKind::kInternal:
      break;
  }
  return kFault;
}

int complain(const char* message, int code) {
  std::fprintf(stderr, "nvllm: %s\n", message);
  return code;
}

/// CLI11 would only say that a subcommand is missing.
void refuse_unknown_command(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::string names;
  for (const Command& command : command_table()) {
    if (command.name == argv[1]) return;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", command.name);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("unknown command '{}', wanted one of: {}", argv[1], names));
}

int run(int argc, char** argv) {
  refuse_unknown_command(argc, argv);
  CLI::App app("nvllm serves NVFP4 hybrid language models over the OpenAI API.", "nvllm");
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 a gate failed, 2 wrong usage, 3 inconclusive, 4 not comparable, 5 "
      "unavailable (busy, port in use) or incomplete, 6 this machine does not suffice, 7 stopped by "
      "the watchdog, 8 evidence does not match its manifest, 9 anything else that failed (files, "
      "device, nvllm itself), 130 interrupted.");
  app.set_version_flag("--version", NVLLM_VERSION);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    const std::string path =
        failed->get_parent() == nullptr ? "nvllm" : "nvllm " + failed->get_name();
    return fmt::format("nvllm: {} ({} --help lists the flags)\n", error.what(), path);
  });
  std::vector<Action> actions(command_table().size());
  std::vector<CLI::App*> subcommands;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const Command& command = command_table()[i];
    CLI::App* subcommand =
        app.add_subcommand(std::string(command.name), std::string(command.summary));
    command.configure(*subcommand, actions[i]);
    subcommands.push_back(subcommand);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsageError;
  }
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (subcommands[i]->parsed()) return actions[i]();
  }
  return kUsageError;
}

}  // namespace
}  // namespace nvllm::cli

int main(int argc, char** argv) {
  using namespace nvllm::cli;
  try {
    return run(argc, argv);
  } catch (const nvllm::Error& error) {
    return complain(error.what(), exit_code(error.kind()));
  } catch (const std::bad_alloc&) {
    return complain("out of memory; give a smaller model or a smaller --memory-budget", kHostUnfit);
  } catch (const std::exception& error) {
    return complain(error.what(), kFault);
  }
}
