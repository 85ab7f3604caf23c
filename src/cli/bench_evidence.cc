#include "cli/bench_evidence.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/comparison.h"
#include "bench/analysis/folder_facts.h"
#include "bench/analysis/open_folder.h"
#include "bench/report/notes.h"
#include "bench/report/report.h"
#include "bench/store/manifest.h"
#include "bench/sweep/schema.h"
#include "bench/sweep/sweep.h"
#include "cli/command_table.h"

namespace nvllm::cli {

namespace {

namespace fs = std::filesystem;

constexpr int kNotesRefused = 1;
constexpr std::int64_t kNotesBytesMax = 1 << 20;


struct CompareFlags {
  std::string baseline, candidate, rules, out;
};

struct ReportFlags {
  std::string folder, format = "summary", notes;
};

/// Whether `inside` lies in `folder` or is it.
bool lies_in(const fs::path& inside, const fs::path& folder) {
  const fs::path a = fs::weakly_canonical(inside), b = fs::weakly_canonical(folder);
  return std::mismatch(b.begin(), b.end(), a.begin(), a.end()).first == b.end();
}

/// A closed folder that does not match its own manifest is no evidence; false after complaining.
bool intact(const fs::path& folder) {
  if (!bench::has_manifest(folder)) return true;
  const bench::ManifestReport report = bench::check_manifests(folder);
  for (const std::string& fault : report.faults) fmt::print(stderr, "nvllm: {}: {}\n", folder.string(), fault);
  return report.faults.empty();
}

/// Says which figures of NOTES.md are none of the data's; true where there are such.
bool complain_of_notes(const Json& analysis) {
  if (!bench::notes_refused(analysis)) return false;
  for (const Json& one : analysis.at("notes").at("unfounded")) {
    fmt::print(stderr, "nvllm: {} line {}: {} is within rounding of no figure of the analysis; the notes are not quoted\n",
               bench::kNotesName, one.at("line").get<std::int64_t>(), one.at("figure").get<std::string>());
  }
  return true;
}

int run_compare(const CompareFlags& flags) {
  const bench::Sweep sweep = bench::read_sweep(flags.rules);
  for (const std::string& folder : {flags.baseline, flags.candidate}) {
    if (!fs::is_directory(folder)) throw Error(ErrorKind::kUsage, fmt::format("{}: no such folder", folder));
    if (lies_in(flags.out, folder)) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--out {} lies in the evidence folder {}, wanted a place of its own", flags.out, folder));
    }
    if (!intact(folder)) return kIntegrityFault;
  }
  const std::string before = bench::folder_state(flags.baseline);
  bench::Comparison comparison = bench::compare_folders(
      sweep, bench::open_evidence(flags.baseline), bench::open_evidence(flags.candidate), "nvllm " NVLLM_VERSION);
  auto files = comparison.files;
  if (const auto notes = bench::read_notes(flags.out)) bench::add_notes(comparison.analysis, *notes);
  complain_of_notes(comparison.analysis);
  for (auto& [name, text] : bench::render_reports(comparison.analysis)) files[name] = text;
  // What an earlier comparison left must not stand beside this one.
  for (const std::string& name : bench::analysis_files()) fs::remove(fs::path(flags.out) / name);
  for (const auto& [name, text] : files) {
    const fs::path path = fs::path(flags.out) / name;
    fs::create_directories(path.parent_path());
    write_file_atomically(path, text);
  }
  const bool untouched = bench::folder_state(flags.baseline) == before;
  fmt::print("{}baseline untouched: {}\n", bench::terminal_report(comparison.analysis), untouched ? "yes" : "no");
  return untouched ? static_cast<int>(comparison.exit) : kIntegrityFault;
}

int run_report(const ReportFlags& flags) {
  Json analysis = bench::read_analysis(flags.folder);
  if (!flags.notes.empty()) {
    bench::add_notes(analysis, read_file(flags.notes, kNotesBytesMax));
  } else if (const auto notes = bench::read_notes(flags.folder)) {
    bench::add_notes(analysis, *notes);
  }
  fmt::print("{}", bench::render_report(analysis, flags.format));
  return complain_of_notes(analysis) ? kNotesRefused : kDone;
}

int run_schema(const std::string& file) {
  if (file.empty()) {
    fmt::print("{}", bench::schema_text());
    return kDone;
  }
  const bench::Sweep sweep = bench::read_sweep(file);
  bench::check_hypotheses(sweep);
  fmt::print("{}: a sweep of {} legs, {} gates, {} hypotheses and {} verdict rules\nsweep {}\nrules {}\n", sweep.name,
             sweep.legs.size(), sweep.gates.size(), sweep.hypotheses.size(), sweep.verdict.size(), sweep.sweep_hash,
             sweep.rules_hash);
  return kDone;
}

}  // namespace

std::function<std::optional<int>()> add_evidence_verbs(CLI::App& bench) {
  const auto compare_flags = std::make_shared<CompareFlags>();
  const auto report_flags = std::make_shared<ReportFlags>();
  CLI::App* compare =
      bench.add_subcommand("compare", "Hold one evidence folder against another, by the rules of a sweep file");
  compare->add_option("baseline", compare_flags->baseline, "The older folder; it is only read")->required();
  compare->add_option("candidate", compare_flags->candidate, "The newer folder; it is only read")->required();
  compare->add_option("--rules", compare_flags->rules, "Sweep file (TOML)")->required();
  compare->add_option("--out", compare_flags->out, "Folder for analysis, summary and report")->required();
  compare->footer(
      "Exit codes: 0 every required gate passed, 1 a required gate failed, 3 inconclusive, 4 not comparable, "
      "8 a folder does not match its manifest.");
  CLI::App* report = bench.add_subcommand("report", "Print a comparison again, from its analysis files");
  report->add_option("folder", report_flags->folder, "What compare wrote to --out")->required();
  report->add_option("--format", report_flags->format, "summary, pr, html, junit or github")
      ->check(CLI::IsMember({"summary", "pr", "html", "junit", "github"}))
      ->capture_default_str();
  report->add_option("--notes", report_flags->notes, "Notes to quote; without it NOTES.md in the folder, if there is one");
  report->footer(
      "Exit codes: 0 printed, 1 printed without the notes: they hold a figure that is within rounding of nothing in the "
      "analysis.");
  const auto schema_file = std::make_shared<std::string>();
  CLI::App* schema = bench.add_subcommand("schema", "Check a sweep file, or list every key that one may hold");
  schema->add_option("file", *schema_file, "Sweep file (TOML)");
  return [=]() -> std::optional<int> {
    if (schema->parsed()) return run_schema(*schema_file);
    if (compare->parsed()) return run_compare(*compare_flags);
    if (report->parsed()) return run_report(*report_flags);
    return std::nullopt;
  };
}

}  // namespace nvllm::cli
