#pragma once

// Two evidence folders in memory that a test bends to its purpose: two legs, three kernels, several
// boots, twenty questions.

#include <filesystem>
#include <string>
#include <vector>

#include "bench/analysis/comparison.h"
#include "bench/records/kernel_name.h"

namespace nvllm::bench {

/// Kernel times of one boot, in microseconds; boots differ by `scatter`.
struct BootTimes {
  double fused_us = 400, plain_us = 150, gemm_us = 50;
};

inline KernelRow kernel_row(const std::string& name, std::int64_t calls, double mean_us) {
  KernelRow row;
  row.name = name;
  row.short_name = short_kernel_name(name);
  row.n_calls = calls;
  row.mean_us = row.p50_us = row.p95_us = mean_us;
  row.total_ms = mean_us * static_cast<double>(calls) / 1e3;
  return row;
}

/// A burst of 10 requests with 100 decode steps each: 2 fused, 14 plain and 100 gemm calls a step.
inline KernelTable boot(const std::string& leg, std::int64_t round, const BootTimes& times,
                        std::int64_t fused_calls = 2) {
  KernelTable table;
  table.leg = leg;
  table.round = round;
  table.requests = table.prefills = 10;
  table.decode_steps = 1000;
  table.rows = {kernel_row("PhaseE_Beta_Kernel", 1000 * fused_calls, times.fused_us),
                kernel_row("DecodeKernel", 14'000, times.plain_us), kernel_row("some_gemm", 100'000, times.gemm_us)};
  sort_by_total(table);
  fill_shares(table);
  return table;
}

inline QuestionResult answer(std::int64_t index, QuestionStatus status) {
  QuestionResult q;
  q.prompt_index = index;
  q.gold = "42";
  q.question = "question " + std::to_string(index);
  q.status = status;
  q.correct = status == QuestionStatus::kOk;
  q.censored = status == QuestionStatus::kTimeout;
  q.output_sha256 = "same" + std::to_string(index);
  // 50 ms of prefill and 10 ms a token.
  q.completion_tokens = 10 + index;
  q.wall_time_s = 0.05 + 0.010 * static_cast<double>(q.completion_tokens);
  q.finish_reason = q.censored ? "" : "stop";
  return q;
}

/// `boots` times of leg "few" (two fused calls) and leg "many" (four), by a scatter of 0.1 % a boot.
inline EvidenceFolder folder(std::int64_t boots, const BootTimes& times = {}) {
  EvidenceFolder folder;
  folder.provenance = Json::object();
  for (const std::string name : {"few", "many"}) {
    LegEvidence leg;
    leg.leg = name;
    leg.profile_metadata = {{"model", "m"}, {"env", {{"FUSE", name}}}};
    for (std::int64_t round = 1; round <= boots; ++round) {
      const double drift = 1 + 0.001 * static_cast<double>(round % 3 - 1);
      leg.profiles.push_back(boot(name, round,
                                  {times.fused_us * drift, times.plain_us * (2 - drift), times.gemm_us * drift},
                                  name == "few" ? 2 : 4));
    }
    for (std::int64_t i = 1; i <= 200; ++i) leg.questions.push_back(answer(i, QuestionStatus::kOk));
    folder.legs.push_back(std::move(leg));
  }
  return folder;
}

/// The rules that the synthetic folders are judged by; `noise` is a whole [noise] table or nothing.
inline Sweep rules(const std::string& noise = "") {
  return parse_sweep(
      R"toml(schema = "nvllm.sweep/v1"
name = "synthetic"
claim = "fusion does not pay"
[legs.few]
expect_kernels = { DecodeKernel = 14, "PhaseE*" = 2 }
[legs.many]
expect_kernels = { DecodeKernel = 14, "PhaseE*" = 4 }
)toml" + noise +
          R"toml(
[gates]
calls = { kind = "identity", required = true }
kernels = { kind = "equivalent", margin = "2%", required = true }
order = { kind = "order", expect = "few < many", required = true }
quality = { kind = "noninferior", margin = "4pt" }
legacy = { kind = "count_within", k = 2 }
floor = { kind = "count_at_least", right = 190 }
[hypotheses]
H1 = { expr = "mean_us(few,PhaseE*) - mean_us(few,DecodeKernel) > 0" }
[[verdict]]
when = "H1 == CONFIRMED && gate(order)"
id = "stays-dead"
say = "It would have to get {flip(H1)} cheaper."
[[verdict]]
when = "H1 == REFUTED"
id = "reopens"
[[verdict]]
when = "true"
id = "open"
)toml",
      "synthetic.toml");
}

inline Comparison compared(const EvidenceFolder& baseline, const EvidenceFolder& candidate,
                           const Sweep& sweep = rules()) {
  // The folders exist in memory only; an empty one stands for their files.
  EvidenceFolder a = baseline, b = candidate;
  a.path = b.path = std::filesystem::temp_directory_path() / "nvllm_no_files";
  std::filesystem::create_directories(a.path);
  return compare_folders(sweep, a, b, "nvllm test");
}

/// The outcome of a gate.
inline std::string gate(const Comparison& comparison, const std::string& name) {
  for (const Json& one : comparison.analysis.at("gates").at("gates")) {
    if (one.at("name") == name) return one.at("outcome");
  }
  return "absent";
}

/// The outcome of a kernel in the first leg.
inline std::string outcome(const Comparison& comparison, const std::string& short_name) {
  for (const Json& one : comparison.analysis.at("kernels_ab").at("legs").at(0).at("kernels")) {
    if (one.at("short_name") == short_name) return one.at("outcome");
  }
  return "absent";
}

inline std::string verdict(const Comparison& comparison) { return comparison.analysis.at("verdict").at("id"); }

}  // namespace nvllm::bench
