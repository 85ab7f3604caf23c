#include "cli/bench_import.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "bench/accuracy/eval_folder.h"
#include "bench/import/legacy_3leg.h"
#include "bench/import/lm_eval.h"
#include "bench/import/nsys_sqlite.h"
#include "bench/import/torch_trace.h"
#include "bench/import/vllm_bench.h"
#include "bench/load/load.h"
#include "bench/store/canonical_json.h"
#include "bench/store/file_digest.h"
#include "bench/store/kernel_csv.h"
#include "bench/store/perq.h"
#include "cli/command_table.h"

namespace nvllm::cli {

namespace {

namespace fs = std::filesystem;

struct ImportFlags {
  std::string kind, path, out, leg = "imported", filter = "strict-match";
  std::int64_t round = 1, requests = 0, tokens = 0;
};

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  write_file_atomically(path, text);
}

fs::path round_folder(const fs::path& leg, std::int64_t round, const char* phase) {
  return leg / "rounds" / fmt::format("{:02}", round) / phase;
}

/// Where one imported round of the leg goes; what lies there already is never written over.
fs::path new_round(const ImportFlags& flags, const char* phase) {
  const fs::path folder = round_folder(fs::path(flags.out) / flags.leg, flags.round, phase);
  if (!fs::exists(folder)) return folder;
  throw Error(ErrorKind::kUsage,
              fmt::format("{}: exists already; give another --round, --leg or --out", folder.string()));
}

/// Requests and tokens, as readers of a round find them.
Json workload_of(std::int64_t requests, std::int64_t tokens) {
  return Json{{"requests", requests}, {"max_tokens", tokens}};
}

/// Exit code 1 tells scripts that the table must not decide anything.
int write_profile(const ImportFlags& flags, bench::KernelTable table, const std::vector<std::string>& findings) {
  const fs::path folder = new_round(flags, "profile");
  if (table.rows.empty()) throw Error(ErrorKind::kBadFile, fmt::format("{}: holds no kernel", flags.path));
  bench::sort_by_total(table);
  bench::fill_shares(table);
  const bench::FileDigest digest = bench::digest_file(flags.path);
  Json metadata{
      {"schema", "nvllm.profile_metadata/v1"}, {"leg", flags.leg}, {"phase", "profile"}, {"round", flags.round}};
  metadata["profiler"] = Json{{"method", flags.kind}, {"complete", findings.empty()}, {"findings", findings}};
  metadata["trace"] = Json{{"file", fs::path(flags.path).filename().string()},
                           {"bytes", digest.bytes},
                           {"sha256", digest.sha256},
                           {"in_git", false}};
  if (flags.requests > 0 && flags.tokens > 1) metadata["workload"] = workload_of(flags.requests, flags.tokens);
  write(folder / "kernels.csv", bench::format_kernels(table, nullptr));
  write(folder / "profile_kernels.csv", bench::format_profile_kernels(table));
  write(folder / "profile_metadata.json", bench::readable_json(metadata));
  fmt::print("{} kernels, {:.3f} ms in all, into {}\n", table.rows.size(), bench::total_ms(table), folder.string());
  for (const std::string& finding : findings) fmt::print("incomplete: {}\n", finding);
  return findings.empty() ? kDone : kGateFailed;
}

int import_trace(const ImportFlags& flags) {
  bench::TraceImport trace = bench::import_torch_trace(flags.path, {.leg = flags.leg});
  return write_profile(flags, std::move(trace.table), trace.findings);
}

int import_nsys(const ImportFlags& flags) {
  bench::NsysImport nsys = bench::import_nsys_sqlite(flags.path, {.leg = flags.leg});
  return write_profile(flags, std::move(nsys.table), nsys.findings);
}

int import_load(const ImportFlags& flags) {
  const bench::LoadResult result = bench::import_vllm_bench(flags.path);
  write(fs::path(flags.out) / "load.json", bench::readable_json(bench::vllm_bench_json(result)));
  fmt::print("{}", bench::load_summary(result));
  return kDone;
}

int import_lm_eval(const ImportFlags& flags) {
  std::vector<bench::QuestionResult> results =
      bench::import_lm_eval_samples(flags.path, {.leg = flags.leg, .filter = flags.filter});
  const fs::path folder = new_round(flags, "gsm8k");
  std::int64_t right = 0;
  for (bench::QuestionResult& result : results) {
    result.round = flags.round;
    right += result.correct;
  }
  write(folder / "perq.jsonl", bench::format_perq(results));
  fmt::print("{} of {} right by {}, into {}\n", right, results.size(), flags.filter, folder.string());
  return kDone;
}

void write_leg(const bench::LegEvidence& leg, const fs::path& folder) {
  if (!leg.profile_metadata.is_null()) {
    write(folder / "profile_metadata.json", bench::readable_json(leg.profile_metadata));
  }
  if (!leg.eval_metadata.is_null()) write(folder / "gsm8k_metadata.json", bench::readable_json(leg.eval_metadata));
  for (const bench::KernelTable& table : leg.profiles) {
    const fs::path round = round_folder(folder, table.round, "profile");
    write(round / "kernels.csv", bench::format_kernels(table, nullptr));
    Json metadata = leg.profile_metadata.is_null() ? Json::object() : leg.profile_metadata;
    if (table.requests > 0) metadata["workload"] = workload_of(table.requests, table.decode_steps / table.requests + 1);
    write(round / "profile_metadata.json", bench::readable_json(metadata));
  }
  std::map<std::int64_t, std::vector<bench::QuestionResult>> rounds;
  for (const bench::QuestionResult& question : leg.questions) rounds[question.round].push_back(question);
  for (const auto& [round, questions] : rounds) {
    write(round_folder(folder, round, "gsm8k") / "perq.jsonl", bench::format_perq(questions));
  }
}

int import_folder(const ImportFlags& flags) {
  const bench::EvidenceFolder evidence = bench::import_legacy_3leg(flags.path);
  for (const bench::LegEvidence& leg : evidence.legs) {
    const fs::path folder = fs::path(flags.out) / leg.leg;
    if (fs::exists(folder))
      throw Error(ErrorKind::kUsage, fmt::format("{}: exists already; give another --out", folder.string()));
    write_leg(leg, folder);
    fmt::print("{}: {} kernel tables, {} questions\n", leg.leg, leg.profiles.size(), leg.questions.size());
  }
  write(fs::path(flags.out) / "provenance.json", bench::readable_json(evidence.provenance));
  for (const std::string& note : evidence.notes) fmt::print("note: {}\n", note);
  return kDone;
}

int run_import(const ImportFlags& flags) {
  if (bench::lies_in_closed_folder(flags.out)) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: closed by a manifest; give another --out", flags.out));
  }
  const std::map<std::string, int (*)(const ImportFlags&)> kinds = {{"torch-trace", import_trace},
                                                                    {"nsys-sqlite", import_nsys},
                                                                    {"vllm-bench", import_load},
                                                                    {"lm-eval", import_lm_eval},
                                                                    {"legacy-3leg", import_folder}};
  return kinds.at(flags.kind)(flags);
}

}  // namespace

std::function<std::optional<int>()> add_import_verb(CLI::App& bench) {
  const auto flags = std::make_shared<ImportFlags>();
  CLI::App* verb = bench.add_subcommand("import", "Turn files of other tools into evidence");
  verb->add_option("kind", flags->kind, "torch-trace, nsys-sqlite, vllm-bench, lm-eval or legacy-3leg")
      ->required()
      ->check(CLI::IsMember({"torch-trace", "nsys-sqlite", "vllm-bench", "lm-eval", "legacy-3leg"}));
  verb->add_option("path", flags->path, "The file; of legacy-3leg the folder")->required();
  verb->add_option("--out", flags->out, "Evidence folder to write into")->required();
  verb->add_option("--leg", flags->leg, "Leg that the file belongs to")->capture_default_str();
  verb->add_option("--round", flags->round, "Which server boot of that leg")
      ->check(CLI::Range(1, 99))
      ->capture_default_str();
  CLI::Option* requests = verb->add_option("--requests", flags->requests,
                                           "Requests that a trace holds; without, times per token stay unknown");
  CLI::Option* tokens = verb->add_option("--tokens", flags->tokens, "Output tokens of each of these requests");
  requests->needs(tokens)->check(CLI::PositiveNumber);
  tokens->needs(requests)->check(CLI::Range(2, 1 << 20));
  verb->add_option("--filter", flags->filter, "lm-eval: the filter that decides")->capture_default_str();
  verb->footer("Exit code 1: the trace is incomplete; its table is written, and says so.");
  return [=]() -> std::optional<int> {
    if (verb->parsed()) return run_import(*flags);
    return std::nullopt;
  };
}

}  // namespace nvllm::cli
