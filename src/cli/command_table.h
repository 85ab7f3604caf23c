#pragma once

// The subcommands of nvllm. To add one: write `void configure_NAME(CLI::App&, Action&)` in
// src/cli/NAME.cc, declare it below and add its line to the table in command_table.cc.

#include <functional>
#include <span>
#include <string_view>

namespace CLI {
class App;
}

namespace nvllm::cli {

/// What a command does once its flags are read; returns the exit code.
using Action = std::function<int()>;

/// One subcommand. `configure` declares its flags on `app` and sets `action`; what the flags are
/// stored in is shared with the action.
struct Command {
  std::string_view name;
  std::string_view summary;
  void (*configure)(CLI::App& app, Action& action);
};

/// Exit codes; docs/operating.md explains them to scripts.
enum ExitCode : int {
  kDone = 0,
  kGateFailed = 1,
  kUsageError = 2,
  kInconclusive = 3,
  kNotComparable = 4,
  kUnavailable = 5,  ///< and a sweep that is incomplete
  kHostUnfit = 6,
  kWatchdogStop = 7,
  kIntegrityFault = 8,
  kFault = 9,
  kInterrupted = 130,
};

/// All subcommands in the order `nvllm --help` lists them.
std::span<const Command> command_table();

void configure_serve(CLI::App& app, Action& action);
void configure_generate(CLI::App& app, Action& action);
void configure_chat(CLI::App& app, Action& action);
void configure_bench(CLI::App& app, Action& action);
void configure_quantize(CLI::App& app, Action& action);
void configure_make_model(CLI::App& app, Action& action);
void configure_inspect(CLI::App& app, Action& action);
void configure_version(CLI::App& app, Action& action);

}  // namespace nvllm::cli
