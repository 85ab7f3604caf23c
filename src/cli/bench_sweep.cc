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
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/folder_facts.h"
#include "bench/run/doctor.h"
#include "bench/run/expected_calls.h"
#include "bench/run/injected_processes.h"
#include "bench/run/noise.h"
#include "bench/run/plan.h"
#include "bench/run/sweep_run.h"
#include "bench/run/templates.h"
#include "bench/run/verify.h"
#include "bench/store/canonical_json.h"
#include "cli/command_table.h"

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

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

bench::SweepRequest request_of(const SweepFlags& flags) {
  bench::SweepRequest request;
  request.sweep_file = flags.sweep;
  request.out = flags.out;
  if (const char* root = std::getenv("OUT_ROOT"); root != nullptr && *root != '\0') request.root = root;
  request.start = flags.resume ? bench::RunStart::kResume : bench::RunStart::kNew;
  request.only = flags.only;
  request.model = flags.model;
  request.program = own_program().string();
  request.tool = "nvllm " NVLLM_VERSION;
  return request;
}

bench::SweepOutcome measure(const SweepFlags& flags) {
  bench::RunControl control;
  const StopSignals signals(control);
  ProgressLine line;
  bench::SweepOutcome outcome =
      bench::run_sweep(request_of(flags), control,
                       {.on_progress = [&line](const bench::SweepProgress& progress) { line.show(progress); },
                        .say = [&line](const std::string& text) { line.say(text); }});
  line.clear();
  fmt::print("{}", outcome.report);
  return outcome;
}

struct PlanFlags {
  std::string sweep, model, noise;
  bool allow_underpowered = false;
};

int run_plan(const PlanFlags& flags) {
  bench::Sweep sweep = bench::read_sweep(flags.sweep);
  bench::check_hypotheses(sweep);
  const bench::RunSettings settings = bench::run_settings(sweep, flags.model);
  if (settings.server.kind->ours) bench::fill_expected_calls(sweep, bench::read_geometry(settings.model));
  if (settings.kernels == bench::KernelMethod::kInject)
    static_cast<void>(bench::profile_library(settings.profile_library, own_program()));
  std::optional<bench::NoiseFloor> noise;
  if (!flags.noise.empty()) noise = bench::read_noise_floor(flags.noise);
  const bench::SweepPlan plan = bench::plan_sweep(sweep, settings, noise);
  fmt::print("{}", bench::plan_text(plan));
  for (const bench::SweepLeg& leg : sweep.legs) {
    fmt::print("{:<14} calls per decode step:", leg.name);
    for (const auto& [kernel, calls] : leg.expect_kernels) fmt::print(" {} {}", kernel, calls);
    fmt::print("\n");
  }
  return plan.underpowered() && !flags.allow_underpowered ? kInconclusive : kDone;
}

struct NoiseFlags {
  SweepFlags sweep;  ///< its `sweep` is the file or the folder
  std::string file = "noise.json";
};

int run_noise(const NoiseFlags& flags) {
  std::filesystem::path folder = flags.sweep.sweep;
  if (!std::filesystem::is_directory(folder)) {
    const bench::SweepOutcome outcome = measure(flags.sweep);
    if (outcome.exit == bench::kExitIncomplete || outcome.exit == bench::kExitWatchdog ||
        outcome.exit == bench::kExitInterrupted) {
      return outcome.exit;
    }
    folder = outcome.folder;
  }
  const bench::NoiseFloor noise = bench::measure_noise(folder);
  write_file_atomically(flags.file, bench::readable_json(bench::noise_json(noise, folder)));
  fmt::print("between boots: {:.3f} % ({} boots of {} legs); written to {}\n", noise.boot_sigma * 100, noise.boots,
             noise.legs, flags.file);
  return kDone;
}

struct DoctorFlags {
  std::string model;
  double probe_s = 5;
};

int run_doctor(const DoctorFlags& flags) {
  const auto checks = bench::examine_host(std::filesystem::current_path(), flags.model, flags.probe_s);
  fmt::print("{}", bench::checkup_text(checks));
  for (const bench::Checkup& check : checks) {
    if (check.state == bench::Checkup::State::kUnfit) return kHostUnfit;
  }
  return kDone;
}

int run_init(const std::string& name, const std::string& file) {
  const std::string text = bench::sweep_template(name);
  if (file.empty()) {
    fmt::print("{}", text);
    return kDone;
  }
  if (std::filesystem::exists(file)) throw Error(ErrorKind::kUsage, file + ": exists already, name a new file");
  write_file_atomically(file, text);
  fmt::print("{}: `nvllm bench plan {}` comes next\n", file, file);
  return kDone;
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

using Verb = std::function<std::optional<int>()>;

/// A verb that runs if its command was given.
Verb verb(CLI::App* command, std::function<int()> act) {
  return [command, act = std::move(act)]() -> std::optional<int> {
    if (command->parsed()) return act();
    return std::nullopt;
  };
}

void add_run_flags(CLI::App& app, SweepFlags& flags) {
  app.add_option("--out", flags.out, "The folder; else evidence/NAME/DATE, below OUT_ROOT where that is set");
  app.add_flag("--resume", flags.resume, "Go on with a run that was not finished");
  app.add_option("--model", flags.model, "Folder of a checkpoint, in place of the file's");
  app.footer(kExitCodes);
}

Verb add_sweep(CLI::App& bench) {
  const auto flags = std::make_shared<SweepFlags>();
  CLI::App* app = bench.add_subcommand(
      "sweep", "Run a sweep file: every leg, phase and round in a server of its own, then verdict and report");
  app->add_option("sweep", flags->sweep, "Sweep file (TOML)")->required();
  app->add_option("--only", flags->only, "LEG, LEG/PHASE or LEG/PHASE/ROUND, '*' for any");
  add_run_flags(*app, *flags);
  return verb(app, [flags] { return measure(*flags).exit; });
}

Verb add_leg(CLI::App& bench) {
  const auto flags = std::make_shared<SweepFlags>();
  CLI::App* app = bench.add_subcommand("leg", "Run one leg of a sweep file; --resume runs the others later");
  app->add_option("sweep", flags->sweep, "Sweep file (TOML)")->required();
  app->add_option("leg", flags->only, "Name of the leg")->required();
  add_run_flags(*app, *flags);
  return verb(app, [flags] { return measure(*flags).exit; });
}

Verb add_plan(CLI::App& bench) {
  const auto flags = std::make_shared<PlanFlags>();
  CLI::App* app = bench.add_subcommand("plan", "Say what a sweep would do, how long, and what it can show");
  app->add_option("sweep", flags->sweep, "Sweep file (TOML)")->required();
  app->add_option("--model", flags->model, "Folder of a checkpoint, in place of the file's");
  app->add_option("--noise", flags->noise, "noise.json of this machine");
  app->add_flag("--allow-underpowered", flags->allow_underpowered, "Exit with 0 even if something cannot be decided");
  app->footer("Exit codes: 0 everything can be decided, 2 wrong usage, 3 something cannot.");
  return verb(app, [flags] { return run_plan(*flags); });
}

Verb add_verify(CLI::App& bench) {
  const auto flags = std::make_shared<VerifyFlags>();
  CLI::App* app = bench.add_subcommand("verify", "Check that an evidence folder is what a sweep left");
  app->add_option("folder", flags->folder, "The folder; it is only read")->required();
  app->add_option("--level", flags->level, "0: hashes; 1: derive everything again; 2: also from raw traces")
      ->check(CLI::Range(0, 2))
      ->capture_default_str();
  app->footer("Exit codes: 0 everything holds, 5 something could not be checked, 8 something does not hold.");
  return verb(app, [flags] { return run_verify(*flags); });
}

Verb add_noise(CLI::App& bench) {
  const auto flags = std::make_shared<NoiseFlags>();
  CLI::App* app = bench.add_subcommand("noise", "Measure the scatter between boots, by an A/A sweep or a folder");
  app->add_option("path", flags->sweep.sweep, "Sweep file to run, or an evidence folder")->required();
  app->add_option("--file", flags->file, "Where noise.json goes")->capture_default_str();
  add_run_flags(*app, flags->sweep);
  return verb(app, [flags] { return run_noise(*flags); });
}

Verb add_doctor(CLI::App& bench) {
  const auto flags = std::make_shared<DoctorFlags>();
  CLI::App* app = bench.add_subcommand("doctor", "Say whether this machine is fit to measure on");
  app->add_option("--model", flags->model, "Folder of a checkpoint whose files are to be hashed");
  app->add_option("--probe", flags->probe_s, "Seconds of the noise probe")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app->footer("Exit codes: 0 fit, 6 not fit.");
  return verb(app, [flags] { return run_doctor(*flags); });
}

Verb add_init(CLI::App& bench) {
  const auto name = std::make_shared<std::string>(), file = std::make_shared<std::string>();
  CLI::App* app = bench.add_subcommand("init", "Write a commented sweep file to begin with");
  app->add_option("template", *name, "3leg, ab or aa")->required();
  app->add_option("--out", *file, "File to write; else it is printed");
  return verb(app, [name, file] { return run_init(*name, *file); });
}

}  // namespace

std::function<std::optional<int>()> add_sweep_verbs(CLI::App& bench) {
  std::vector<Verb> verbs = {add_sweep(bench), add_leg(bench),   add_plan(bench), add_verify(bench),
                             add_noise(bench), add_doctor(bench), add_init(bench)};
  return [verbs = std::move(verbs)]() -> std::optional<int> {
    for (const Verb& one : verbs) {
      if (const auto code = one()) return code;
    }
    return std::nullopt;
  };
}

}  // namespace nvllm::cli
