// `nvllm bench sweep` and its kin: flags, signals and the progress line. The work is in bench/run.

#include "cli/bench_sweep.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "bench/run/sweep_run.h"
#include "bench/run/verify.h"
#include "cli/command_table.h"

#ifndef NVLLM_VERSION
#define NVLLM_VERSION "unknown"
#endif

namespace nvllm::cli {

namespace {

struct SweepFlags {
  std::string sweep, out, only, model;
  bool resume = false;
};

bench::RunControl* g_control = nullptr;  // for the handler alone

void interrupt(int) { g_control->ask_to_stop(bench::StopCause::kInterrupt); }

/// SIGINT and SIGTERM ask the run to stop while this lives. A second one ends the process as usual.
class StopSignals {
 public:
  explicit StopSignals(bench::RunControl& control) {
    g_control = &control;
    struct sigaction action {};
    action.sa_handler = interrupt;
    action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGINT, &action, &old_int_);
    ::sigaction(SIGTERM, &action, &old_term_);
  }
  ~StopSignals() {
    ::sigaction(SIGINT, &old_int_, nullptr);
    ::sigaction(SIGTERM, &old_term_, nullptr);
    g_control = nullptr;
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  struct sigaction old_int_ {}, old_term_ {};
};

std::string minutes(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

/// One line that is overwritten on a terminal; one line a unit elsewhere.
class ProgressLine {
 public:
  void show(const bench::SweepProgress& p) {
    const std::string left = p.left_s < 0 ? "?" : minutes(p.left_s);
    if (!terminal_) {
      if (p.state != "SEALED") return;
      fmt::print(stderr, "[{}/{}] {} {} round {}: done, {} gone, {} left\n", p.units_done, p.units, p.leg, p.phase,
                 p.round, minutes(p.elapsed_s), left);
      return;
    }
    std::string state = p.state;
    for (char& c : state) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    fmt::print(stderr, "\r\033[K[{}/{}] {} {} round {}: {} {:.0f} %, {} gone, {} left", p.units_done, p.units, p.leg,
               p.phase, p.round, state, p.share * 100, minutes(p.elapsed_s), left);
    std::fflush(stderr);
    open_ = true;
  }
  void say(const std::string& line) {
    clear();
    fmt::print(stderr, "{}\n", line);
  }
  void clear() {
    if (open_) fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
    open_ = false;
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool open_ = false;
};

bench::SweepRequest request_of(const SweepFlags& flags) {
  bench::SweepRequest request;
  request.sweep_file = flags.sweep;
  request.out = flags.out;
  if (const char* root = std::getenv("OUT_ROOT"); root != nullptr && *root != '\0') request.root = root;
  request.start = flags.resume ? bench::RunStart::kResume : bench::RunStart::kNew;
  request.only = flags.only;
  request.model = flags.model;
  request.program = std::filesystem::read_symlink("/proc/self/exe").string();
  request.tool = "nvllm " NVLLM_VERSION;
  return request;
}

int run_sweep(const SweepFlags& flags) {
  bench::RunControl control;
  const StopSignals signals(control);
  ProgressLine line;
  const bench::SweepOutcome outcome =
      bench::run_sweep(request_of(flags), control,
                       {.on_progress = [&line](const bench::SweepProgress& progress) { line.show(progress); },
                        .say = [&line](const std::string& text) { line.say(text); }});
  line.clear();
  fmt::print("{}", outcome.report);
  return outcome.exit;
}

struct VerifyFlags {
  std::string folder;
  int level = 1;
};

int run_verify(const VerifyFlags& flags) {
  const bench::VerifyReport report = bench::verify_folder(flags.folder, static_cast<bench::VerifyLevel>(flags.level));
  fmt::print("{}", bench::verify_text(report));
  return report.exit();
}

constexpr const char* kExitCodes =
    "Exit codes: 0 every required gate passed, 1 a required gate failed, 2 wrong usage, 3 inconclusive, 4 not "
    "comparable, 5 incomplete (--resume goes on), 7 stopped by the watchdog, 8 a folder does not match its manifest, "
    "130 interrupted.";

}  // namespace

std::function<std::optional<int>()> add_sweep_verbs(CLI::App& bench) {
  const auto flags = std::make_shared<SweepFlags>();
  CLI::App* sweep = bench.add_subcommand(
      "sweep", "Run a sweep file: every leg, phase and round in a server of its own, then verdict and report");
  sweep->add_option("sweep", flags->sweep, "Sweep file (TOML)")->required();
  sweep->add_option("--out", flags->out, "The folder; else evidence/NAME/DATE, below OUT_ROOT where that is set");
  sweep->add_flag("--resume", flags->resume, "Go on with a run that was not finished");
  sweep->add_option("--only", flags->only, "LEG, LEG/PHASE or LEG/PHASE/ROUND, '*' for any");
  sweep->add_option("--model", flags->model, "Folder of a checkpoint, in place of the file's");
  sweep->footer(kExitCodes);
  const auto verify_flags = std::make_shared<VerifyFlags>();
  CLI::App* verify = bench.add_subcommand("verify", "Check that an evidence folder is what a sweep left");
  verify->add_option("folder", verify_flags->folder, "The folder; it is only read")->required();
  verify->add_option("--level", verify_flags->level, "0: hashes; 1: derive everything again; 2: also from raw traces")
      ->check(CLI::Range(0, 2))
      ->capture_default_str();
  verify->footer("Exit codes: 0 everything holds, 5 something could not be checked, 8 something does not hold.");
  return [=]() -> std::optional<int> {
    if (verify->parsed()) return run_verify(*verify_flags);
    if (sweep->parsed()) return run_sweep(*flags);
    return std::nullopt;
  };
}

}  // namespace nvllm::cli
