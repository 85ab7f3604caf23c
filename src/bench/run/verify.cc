#include "bench/run/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/files.h"
#include "bench/accuracy/summary.h"
#include "bench/import/byte_source.h"
#include "bench/records/call_law.h"
#include "bench/run/derive.h"
#include "bench/store/journal.h"
#include "bench/store/json_field.h"
#include "bench/store/kernel_csv.h"
#include "bench/store/manifest.h"
#include "bench/store/perq.h"
#include "bench/store/seal.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64ll << 20;
constexpr std::int64_t kTraceBytesMax = 256ll << 20;
constexpr JsonLimits kLimits{.depth_max = 32, .nodes_max = 5'000'000};

Json json_in(const fs::path& path) {
  return parse_json(read_file(path, kFileBytesMax), path.filename().string(), kLimits);
}

/// A step of the check whose own failure is a fault of the folder.
template <class Check>
void guarded(VerifyReport& report, const std::string& name, const Check& check) {
  const std::size_t before = report.faults.size();
  try {
    const std::string found = check();
    if (report.faults.size() == before && !found.empty())
      report.passed.push_back(fmt::format("{}: {}", name, found));
  } catch (const std::exception& error) {  // our readers' and the JSON library's
    report.faults.push_back(fmt::format("{}: {}", name, error.what()));
  }
}

std::string check_hashes(const fs::path& folder, VerifyReport& report) {
  const ManifestReport manifest = check_manifests(folder);
  report.identity = manifest.identity;
  report.faults.insert(report.faults.end(), manifest.faults.begin(), manifest.faults.end());
  return fmt::format("{} files match; {} raw files are not here", manifest.files,
                     manifest.absent_raw.size());
}

/// Every planned unit is sealed, and its seal holds.
std::string check_seals(const fs::path& folder, const Json& lock, VerifyReport& report) {
  for (const Json& one : lock.at("units")) {
    const Unit unit = parse_unit_name(one.at("unit").get<std::string>());
    const SealCheck seal =
        check_seal(folder / unit_name(unit), unit, one.at("unit_hash").get<std::string>(),
                   RawFiles::kMayBeAbsent);
    if (seal.outcome == SealCheck::Outcome::kValid) continue;
    report.faults.push_back(
        fmt::format("{}: {}", unit_name(unit),
                    seal.outcome == SealCheck::Outcome::kAbsent ? "not sealed" : seal.reason));
  }
  return fmt::format("{} units sealed", lock.at("units").size());
}

/// The rules are the registered ones, and were registered before anything was measured.
std::string check_journal(const fs::path& folder, const Sweep& sweep, VerifyReport& report) {
  const JournalReading journal = read_journal(folder / "journal.jsonl");
  if (!journal.torn.empty()) report.faults.push_back("journal.jsonl: ends in a torn line");
  bool registered = false;
  for (const JournalEvent& event : journal.events) {
    registered |= event.event == "registered";
    if (event.event == events::kStarted && !registered) {
      report.faults.push_back("journal.jsonl: a unit was started before the rules were registered");
      break;
    }
  }
  const std::string hash = text_field(json_in(folder / "prereg.json"), "rules_hash", "prereg.json");
  if (hash != sweep.rules_hash) {
    report.passed.push_back(
        "note: the rules of sweep.toml are not the registered ones: every verdict is post-hoc");
  }
  return fmt::format("{} events in one chain", journal.events.size());
}

/// The law columns of every boot, from the counts of its two bursts.
std::string check_laws(const fs::path& folder, const Json& lock, VerifyReport& report) {
  std::int64_t boots = 0;
  for (const Json& one : lock.at("units")) {
    const Unit unit = parse_unit_name(one.at("unit").get<std::string>());
    if (unit.phase != "profile") continue;
    const fs::path place = folder / unit_name(unit);
    const Json metadata = json_in(place / "profile_metadata.json");
    if (metadata.at("profiler").value("method", "") == "none") continue;  // then there is no table
    const auto table = [&](const char* name, const char* workload) {
      const Json& w = metadata.at(workload);
      KernelTable read = parse_kernels(read_file(place / name, kFileBytesMax), name, unit.leg);
      read.requests = int_field(w, "requests", workload);
      read.decode_steps = read.requests * (int_field(w, "max_tokens", workload) - 1);
      return read;
    };
    const KernelTable longer = table("kernels.csv", "workload"),
                      shorter = table("kernels_short.csv", "second_workload");
    const LawReport laws = solve_call_laws(longer, shorter);
    for (const auto& [read, name] :
         {std::pair(&longer, "kernels.csv"), std::pair(&shorter, "kernels_short.csv")}) {
      if (format_kernels(*read, &laws) == read_file(place / name, kFileBytesMax)) continue;
      report.faults.push_back(
          fmt::format("{}/{}: not what its own counts give", unit_name(unit), name));
    }
    ++boots;
  }
  return fmt::format("call laws of {} boots follow from their counts", boots);
}

/// The counts of gsm8k.json, from the lines of perq.jsonl.
std::string check_answers(const fs::path& folder, const Json& lock, VerifyReport& report) {
  std::int64_t units = 0;
  for (const Json& one : lock.at("units")) {
    const Unit unit = parse_unit_name(one.at("unit").get<std::string>());
    if (unit.phase != "gsm8k") continue;
    const fs::path place = folder / unit_name(unit);
    const auto results = parse_perq(read_file(place / "perq.jsonl", kFileBytesMax), "perq.jsonl");
    const Json stated = json_in(place / "gsm8k.json");
    const EvalSummary counted = summarize(results, int_field(stated, "n", "gsm8k.json"));
    ++units;
    for (const auto& [name, count] :
         {std::pair("correct", counted.correct), std::pair("wrong", counted.wrong),
          std::pair("censored", counted.censored), std::pair("errors", counted.errors)}) {
      if (int_field(stated, name, "gsm8k.json") == count) continue;
      report.faults.push_back(fmt::format("{}/gsm8k.json: {} is {}, its lines give {}",
                                          unit_name(unit), name,
                                          int_field(stated, name, "gsm8k.json"), count));
    }
  }
  return fmt::format("answers of {} boots counted again", units);
}

std::string check_derived(const fs::path& folder, VerifyReport& report) {
  const Json provenance = json_in(folder / "provenance.json");
  const auto baseline = recorded_baseline(provenance.at("baseline"));
  if (!baseline) {
    report.unchecked.push_back(
        fmt::format("analysis and reports: the baseline {} is not here as it was",
                    provenance.at("baseline").value("path", "")));
    return "";
  }
  const Derivation derived = derive(folder, *baseline);
  for (const auto& [name, text] : derived.files) {
    if (!fs::exists(folder / name)) {
      report.faults.push_back(fmt::format("{}: missing, but it follows from the units", name));
    } else if (read_file(folder / name, kFileBytesMax) != text) {
      report.faults.push_back(fmt::format("{}: derived again it has other bytes", name));
    }
  }
  return fmt::format("{} files derived again with the same bytes", derived.files.size());
}

std::string unpacked(const fs::path& path) {
  ByteSource source(read_from_file(path), path.filename().string());
  std::string text, piece(1 << 20, '\0');
  while (const std::size_t got = source.read(piece.data(), piece.size())) {
    text.append(piece, 0, got);
    if (static_cast<std::int64_t>(text.size()) > kTraceBytesMax) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: more than {} bytes", path.filename().string(), kTraceBytesMax));
    }
  }
  return text;
}

/// Operation, phase, layer (-1: none).
using KernelPlace = std::tuple<std::string, std::string, std::int64_t>;
struct CallsAndTime {
  std::int64_t calls = 0;
  double total_us = 0;
  std::int64_t rows = 0;
};

/// Kernels of a trace; nothing where it kept the last calls only.
std::optional<std::map<KernelPlace, CallsAndTime>> kernels_of_trace(const fs::path& path) {
  constexpr int kKernelRow = 2;
  const Json trace = parse_json(unpacked(path), path.filename().string(),
                                {.depth_max = 32, .nodes_max = 20'000'000});
  if (trace.at("otherData").at("dropped_events").get<std::int64_t>() != 0) return std::nullopt;
  std::map<KernelPlace, CallsAndTime> kernels;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("tid") != kKernelRow) continue;
    const Json& args = event.at("args");
    CallsAndTime& sum =
        kernels[{event.at("name").get<std::string>(), args.at("phase").get<std::string>(),
                 args.value("layer", std::int64_t{-1})}];
    ++sum.calls;
    sum.total_us += event.at("dur").get<double>();
  }
  return kernels;
}

std::map<KernelPlace, CallsAndTime> kernels_of_table(const fs::path& path, const std::string& leg) {
  std::map<KernelPlace, CallsAndTime> kernels;
  for (const KernelRow& row :
       parse_kernels(read_file(path, kFileBytesMax), path.filename().string(), leg).rows) {
    CallsAndTime& sum = kernels[{row.name, row.phase, row.layer.value_or(-1)}];
    sum.calls += row.n_calls;
    sum.total_us += row.total_ms * 1e3;
    ++sum.rows;
  }
  return kernels;
}

void compare_trace(const fs::path& trace, const fs::path& table, const Unit& unit,
                   VerifyReport& report) {
  const auto seen = kernels_of_trace(trace);
  const std::string name = unit_name(unit) + "/" + trace.filename().string();
  if (!seen) {
    report.unchecked.push_back(name + ": it kept the last calls only");
    return;
  }
  const auto wanted = kernels_of_table(table, unit.leg);
  if (seen->size() != wanted.size()) {
    report.faults.push_back(
        fmt::format("{}: {} kernels, the table has {}", name, seen->size(), wanted.size()));
  }
  for (const auto& [place, sum] : wanted) {
    const auto found = seen->find(place);
    const CallsAndTime in_trace = found == seen->end() ? CallsAndTime{} : found->second;
    // Every duration of the trace is rounded to a nanosecond, every row of the table to a
    // microsecond.
    const double slack_us =
        0.5e-3 * static_cast<double>(sum.calls) + 0.5 * static_cast<double>(sum.rows);
    if (in_trace.calls == sum.calls && std::abs(in_trace.total_us - sum.total_us) <= slack_us)
      continue;
    report.faults.push_back(
        fmt::format("{}: {} {} layer {} has {} calls of {:.3f} us together, the table says {} of "
                    "{:.3f} us",
                    name, std::get<0>(place), std::get<1>(place), std::get<2>(place),
                    in_trace.calls, in_trace.total_us, sum.calls, sum.total_us));
  }
}

std::string check_traces(const fs::path& folder, const Json& lock, VerifyReport& report) {
  std::int64_t traces = 0, absent = 0;
  for (const Json& one : lock.at("units")) {
    const Unit unit = parse_unit_name(one.at("unit").get<std::string>());
    if (unit.phase != "profile") continue;
    const fs::path place = folder / unit_name(unit);
    for (const auto& [trace, table] : {std::pair("long.pt.trace.json.gz", "kernels.csv"),
                                       std::pair("short.pt.trace.json.gz", "kernels_short.csv")}) {
      if (!fs::exists(place / trace)) {
        ++absent;
        continue;
      }
      compare_trace(place / trace, place / table, unit, report);
      ++traces;
    }
  }
  return fmt::format("{} raw traces hold what their tables say; {} are not here", traces, absent);
}

}  // namespace

int VerifyReport::exit() const { return !faults.empty() ? 8 : unchecked.empty() ? 0 : 5; }

VerifyReport verify_folder(const fs::path& folder, VerifyLevel level) {
  VerifyReport report;
  if (!has_manifest(folder)) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("{}: no {}; a run that is not finished cannot be verified",
                            folder.string(), kManifestName));
  }
  guarded(report, "hashes", [&] { return check_hashes(folder, report); });
  if (level == VerifyLevel::kHashes) return report;
  Json lock;
  guarded(report, "lock", [&] {
    lock = json_in(folder / "sweep.lock.json");
    return std::string();
  });
  if (lock.is_null()) return report;
  guarded(report, "seals", [&] { return check_seals(folder, lock, report); });
  guarded(report, "journal",
          [&] { return check_journal(folder, sweep_of_folder(folder), report); });
  guarded(report, "laws", [&] { return check_laws(folder, lock, report); });
  guarded(report, "answers", [&] { return check_answers(folder, lock, report); });
  guarded(report, "derived", [&] { return check_derived(folder, report); });
  if (level == VerifyLevel::kTraces)
    guarded(report, "traces", [&] { return check_traces(folder, lock, report); });
  return report;
}

std::string verify_text(const VerifyReport& report) {
  std::string text;
  for (const std::string& one : report.passed) text += fmt::format("ok         {}\n", one);
  for (const std::string& one : report.unchecked) text += fmt::format("unchecked  {}\n", one);
  for (const std::string& one : report.faults) text += fmt::format("FAULT      {}\n", one);
  return text + fmt::format("identity   {}\n", report.identity);
}

}  // namespace nvllm::bench
