#include "bench/run/sweep_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/folder_facts.h"
#include "bench/analysis/open_folder.h"
#include "bench/report/report.h"
#include "bench/run/derive.h"
#include "bench/run/expected_calls.h"
#include "bench/run/leg_summary.h"
#include "bench/run/provenance.h"
#include "bench/run/run_files.h"
#include "bench/run/schedule.h"
#include "bench/run/unit.h"
#include "bench/store/manifest.h"
#include "bench/store/seal.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 16 << 20;
constexpr std::size_t kLogTailBytes = 4096;
// Guesses, on the safe side: a profile of a thousand identities and its trace.
constexpr WatchForecast kForecast{.flush_bytes = 64 << 20, .trace_bytes = 16 << 20};

/// Seconds that units of a phase took, for the time that is left.
class UnitTimes {
 public:
  void add(const std::string& phase, double seconds) {
    sums_[phase].first += seconds;
    ++sums_[phase].second;
  }
  /// What the units still to run will take; below 0 while nothing is known.
  double left(const std::map<std::string, std::int64_t>& units) const {
    if (sums_.empty()) return -1;
    double all = 0, seconds = 0;
    std::int64_t count = 0;
    for (const auto& [phase, sum] : sums_) {
      all += sum.first;
      count += sum.second;
    }
    for (const auto& [phase, number] : units) {
      const auto known = sums_.find(phase);
      const double mean = known == sums_.end()
                              ? all / static_cast<double>(count)
                              : known->second.first / static_cast<double>(known->second.second);
      seconds += mean * static_cast<double>(number);
    }
    return seconds;
  }

 private:
  std::map<std::string, std::pair<double, std::int64_t>> sums_;
};

/// Names of the files that lie in a unit's folder.
std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename() != kSealName) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// Seals what a unit left that came to no good end, under that state.
void seal_remains(const fs::path& folder, const UnitWork& work, std::int64_t attempt,
                  const char* state, int exit) {
  Seal seal;
  seal.unit = work.planned.unit;
  seal.unit_hash = work.planned.unit_hash;
  seal.state = state;
  seal.attempt = attempt;
  seal.exit = exit;
  write_seal(folder, seal, files_in(folder));
}

/// Seals what a boot left that died with the run: nobody shall take its remains for a whole unit.
void mark_dead(const fs::path& folder, const UnitWork& work) {
  std::error_code ignored;
  fs::remove_all(folder / "incoming", ignored);
  if (!fs::exists(folder / kSealName))
    seal_remains(folder, work, work.attempt - 1, "DIED", kExitIncomplete);
}

class SweepRun {
 public:
  SweepRun(const SweepRequest& request, RunControl& control, const SweepListener& listener)
      : request_(request), control_(control), listener_(listener) {}

  SweepOutcome run();

 private:
  void prepare();
  void run_units(EvidenceWriter& writer);
  void run_unit(EvidenceWriter& writer, const UnitWork& work);
  void record_failure(EvidenceWriter& writer, const UnitWork& work, const UnitRun& unit,
                      const std::string& reason);
  SweepOutcome conclude(EvidenceWriter& writer);
  SweepOutcome unfinished(const std::vector<UnitWork>& work) const;
  void tell(const UnitWork& work, const std::string& state, double share) const;
  void say(const std::string& line) const {
    if (listener_.say) listener_.say(line);
  }
  WatchOptions watch_options(const fs::path& folder) const;

  const SweepRequest& request_;
  RunControl& control_;
  const SweepListener& listener_;
  std::string text_;
  Sweep sweep_;
  RunContext context_;
  ProvenanceFacts provenance_;
  std::vector<PlannedUnit> units_;
  SystemClock clock_;
  SteadyTime begin_ = clock_.now();
  UnitTimes times_;
  std::int64_t units_done_ = 0;
  std::map<std::string, std::int64_t> units_left_;  ///< by phase, the running one left out
  fs::path folder_;
};

/// Everything that can be wrong is found before a folder is made.
void SweepRun::prepare() {
  text_ = read_file(request_.sweep_file, kFileBytesMax);
  sweep_ = parse_sweep(text_, request_.sweep_file.filename().string());
  check_hypotheses(sweep_);
  context_.settings = run_settings(sweep_, request_.model);
  context_.program = request_.program;
  context_.control = &control_;
  const bool ours = context_.settings.server.kind->ours;
  if (ours) fill_expected_calls(sweep_, read_geometry(context_.settings.model));
  if (context_.settings.gsm8k_rounds > 0) static_cast<void>(sweep_questions(context_.settings));
  context_.identity = run_identity(context_.settings, request_.program, request_.tool);
  for (const SweepLeg& leg : sweep_.legs) {
    if (Json own = leg_identity(context_.settings, leg, request_.program); !own.empty()) {
      context_.leg_identity[leg.name] = std::move(own);
    }
  }
  provenance_.host = host_facts();
  provenance_.identity = context_.identity;
  for (const Unit& unit : schedule_units(sweep_, context_.settings)) {
    Json identity = context_.identity;
    if (const auto own = context_.leg_identity.find(unit.leg); own != context_.leg_identity.end()) {
      identity.update(own->second);
    }
    units_.push_back({unit, unit_hash(sweep_, unit, identity)});
  }
  if (std::none_of(units_.begin(), units_.end(),
                   [&](const PlannedUnit& one) { return selected(request_.only, one.unit); })) {
    throw Error(ErrorKind::kUsage, fmt::format("--only {}: no unit of {} is of that name",
                                               request_.only, sweep_.what));
  }
  provenance_.argv =
      fmt::format("nvllm bench sweep {}{}{}", request_.sweep_file.filename().string(),
                  request_.start == RunStart::kResume ? " --resume" : "",
                  request_.only.empty() ? "" : " --only " + request_.only);
}

WatchOptions SweepRun::watch_options(const fs::path& folder) const {
  WatchOptions options;
  options.sampler.proc_root = request_.proc_root;
  options.sampler.disk = folder;
  const HostSample now = sample_host(options.sampler, clock_.now());
  if (now.mem_total_bytes) options.thresholds = thresholds_for(*now.mem_total_bytes);
  options.log_file = folder / "mem_watchdog.log";
  options.telemetry_file = folder / "telemetry.csv";
  return options;
}

void SweepRun::tell(const UnitWork& work, const std::string& state, double share) const {
  if (!listener_.on_progress) return;
  const Unit& unit = work.planned.unit;
  SweepProgress progress{.leg = unit.leg,
                         .phase = unit.phase,
                         .state = state,
                         .round = unit.round,
                         .share = share,
                         .units_done = units_done_,
                         .units = static_cast<std::int64_t>(units_.size()),
                         .elapsed_s = seconds_between(begin_, clock_.now())};
  auto left = units_left_;
  progress.left_s = times_.left(left);
  if (progress.left_s >= 0) progress.left_s += (1 - share) * times_.left({{unit.phase, 1}});
  listener_.on_progress(progress);
}

void SweepRun::record_failure(EvidenceWriter& writer, const UnitWork& work, const UnitRun& unit,
                              const std::string& reason) {
  const bool watchdog =
      control_.cause() == StopCause::kSoftStop || control_.cause() == StopCause::kHardStop;
  std::error_code ignored;
  fs::remove_all(unit.folder / "incoming", ignored);
  if (const fs::path log = unit.folder / "serve.log"; fs::exists(log)) {
    const std::string all = read_file(log, std::int64_t{1} << 30);
    write_file_atomically(
        unit.folder / "log_tail.txt",
        without_paths(all.substr(all.size() - std::min(all.size(), kLogTailBytes))));
  }
  seal_remains(unit.folder, work, work.attempt, watchdog ? "ABORTED" : "FAILED",
               watchdog ? kExitWatchdog : kExitIncomplete);
  writer.fail_unit(work, reason);
  say(fmt::format("{} failed: {}", unit_name(unit.unit), reason));
}

void SweepRun::run_unit(EvidenceWriter& writer, const UnitWork& work) {
  const Unit& unit = work.planned.unit;
  const auto leg = std::find_if(sweep_.legs.begin(), sweep_.legs.end(),
                                [&](const SweepLeg& one) { return one.name == unit.leg; });
  const std::string name = unit_name(unit);
  if (work.action == UnitWork::Action::kSetAsideAndRun) mark_dead(writer.folder() / name, work);
  writer.begin_unit(work);
  const SteadyTime begin = clock_.now();
  UnitRun run{.run = context_,
              .leg = *leg,
              .unit = unit,
              .attempt = work.attempt,
              .folder = writer.folder() / name};
  run.earlier =
      earlier_attempts(writer.journal().events(), name, work.planned.unit_hash, writer.folder());
  fs::create_directories(run.folder);
  std::string state;
  context_.progress = [&](const std::string& now, double share) {
    if (now != state)
      writer.journal().append(events::kState, unit_name(unit), Json{{"state", now}});
    state = now;
    tell(work, now, share);
  };
  try {
    const std::vector<std::string> names =
        unit.phase == "profile" ? run_profile_unit(run) : run_gsm8k_unit(run);
    writer.seal_unit(work, names);
    ++units_done_;
    times_.add(unit.phase, seconds_between(begin, clock_.now()));
    tell(work, "SEALED", 1);
  } catch (const Error& error) {
    control_.set_server(0);
    context_.watch->set_pid(std::nullopt);
    context_.watch->expect_silence();
    const bool stopped = control_.cause() != StopCause::kNone;
    record_failure(writer, work, run,
                   stopped ? describe(control_.cause()) : without_paths(error.what()));
  }
}

void SweepRun::run_units(EvidenceWriter& writer) {
  Watch watch(
      watch_options(writer.folder()),
      [this](const WatchVerdict& verdict) { control_.hear(verdict); }, clock_);
  watch.set_forecast(kForecast);
  const Watchdog watchdog(watch);
  context_.watch = &watch;
  const std::vector<UnitWork> all = writer.what_is_left(units_);
  std::vector<UnitWork> work;
  for (const UnitWork& one : all) {
    units_done_ += one.action == UnitWork::Action::kDone;
    if (one.action == UnitWork::Action::kDone || !selected(request_.only, one.planned.unit))
      continue;
    work.push_back(one);
    ++units_left_[one.planned.unit.phase];
  }
  if (units_done_ > 0)
    say(fmt::format("{} of {} units are sealed already", units_done_, units_.size()));
  for (const UnitWork& one : work) {
    if (control_.cause() != StopCause::kNone) break;
    --units_left_[one.planned.unit.phase];
    const std::int64_t before = units_done_;
    run_unit(writer, one);
    if (units_done_ == before && context_.settings.on_failure == OnFailure::kStop) break;
  }
  context_.watch = nullptr;
}

SweepOutcome SweepRun::unfinished(const std::vector<UnitWork>& work) const {
  SweepOutcome outcome{.exit = kExitIncomplete, .folder = folder_, .report = {}};
  if (control_.cause() == StopCause::kInterrupt) outcome.exit = kExitInterrupted;
  if (control_.cause() == StopCause::kSoftStop || control_.cause() == StopCause::kHardStop) {
    outcome.exit = kExitWatchdog;
  }
  std::int64_t left = 0;
  for (const UnitWork& one : work) {
    if (one.action == UnitWork::Action::kDone) continue;
    ++left;
    outcome.report += fmt::format("  {}: {}\n", unit_name(one.planned.unit), one.reason);
  }
  outcome.report = fmt::format(
      "incomplete{}: {} of {} units are not sealed\n{}go on with: nvllm bench sweep {} --out {} "
      "--resume\n",
      control_.cause() == StopCause::kNone ? std::string()
                                           : fmt::format(" ({})", describe(control_.cause())),
      left, units_.size(), outcome.report, request_.sweep_file.string(), folder_.string());
  return outcome;
}

/// All units are sealed: derive, write, close.
SweepOutcome SweepRun::conclude(EvidenceWriter& writer) {
  const BaselinePlace baseline = find_baseline(sweep_, folder_);
  std::string before;
  if (!baseline.folder.empty()) {
    if (has_manifest(baseline.folder) && !check_manifests(baseline.folder).faults.empty()) {
      return {.exit = kExitIntegrity,
              .folder = folder_,
              .report = fmt::format("{} does not match its own manifest: it is no baseline\n",
                                    baseline.folder.string())};
    }
    before = folder_state(baseline.folder);
  }
  provenance_.baseline = baseline_record(baseline);
  write_provenance(writer, provenance_);
  pack_telemetry(writer);
  const Derivation derived = derive(folder_, baseline);
  for (const auto& [name, text] : derived.files) writer.write(name, text);
  SweepOutcome outcome{
      .exit = derived.exit, .folder = folder_, .report = leg_summary(sweep_, derived)};
  outcome.report += terminal_report(derived.analysis);
  if (!baseline.folder.empty()) {
    const bool untouched = folder_state(baseline.folder) == before;
    outcome.report += fmt::format("baseline untouched: {}\n", untouched ? "yes" : "no");
    if (!untouched) outcome.exit = kExitIntegrity;
  }
  outcome.report += fmt::format("evidence: {}\nidentity: {}\n", folder_.string(), writer.close());
  return outcome;
}

SweepOutcome SweepRun::run() {
  prepare();
  folder_ = choose_folder(request_.out, request_.root, sweep_.name, utc_date(), request_.start);
  EvidenceWriter writer(folder_);
  say(fmt::format("{}: {} units into {}", sweep_.name, units_.size(), folder_.string()));
  write_rules(writer, text_, sweep_, context_.identity, units_, request_.tool);
  write_provenance(writer, provenance_);
  run_units(writer);
  write_provenance(writer, provenance_);
  const std::vector<UnitWork> work = writer.what_is_left(units_);
  const bool complete = std::all_of(work.begin(), work.end(), [](const UnitWork& one) {
    return one.action == UnitWork::Action::kDone;
  });
  return complete ? conclude(writer) : unfinished(work);
}

}  // namespace

SweepOutcome run_sweep(const SweepRequest& request, RunControl& control,
                       const SweepListener& listener) {
  return SweepRun(request, control, listener).run();
}

}  // namespace nvllm::bench
