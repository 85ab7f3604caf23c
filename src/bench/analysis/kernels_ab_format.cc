// kernels_ab.json and kernels_ab.csv.

#include <fmt/format.h>

#include <cmath>

#include "bench/analysis/kernels_ab.h"
#include "bench/stats/multiple_tests.h"
#include "bench/store/csv.h"

namespace nvllm::bench {

namespace {

/// A log ratio as a change in per cent.
double percent_of(double log_ratio) { return (std::exp(log_ratio) - 1) * 100; }

Json side_json(const std::optional<KernelSide>& side) {
  if (!side) return nullptr;
  Json json;
  json["calls"] = side->calls;
  json["calls_per_request"] = side->calls_per_request ? Json(*side->calls_per_request) : Json(nullptr);
  json["mean_us"] = side->mean_us;
  json["total_ms"] = side->total_ms;
  json["share"] = side->share;
  return json;
}

/// JSON has no infinity: an error of zero leaves t out, endless degrees of freedom are null.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json moderated_json(const PairedSummary& summary) {
  const Interval interval = mean_interval(summary, 0.90);
  Json json;
  json["ci90_pct"] = {percent_of(interval.low), percent_of(interval.high)};
  json["t"] = finite(summary.mean / summary.standard_error);
  json["df"] = finite(summary.df);
  return json;
}

Json drift_json(const std::optional<CommonDrift>& drift) {
  if (!drift) return nullptr;
  Json json;
  json["pct"] = percent_of(drift->log_ratio);
  json["alarm"] = is_alarming(*drift);
  json["kernels"] = drift->kernels;
  return json;
}

Json test_json(const Equivalence& test) {
  Json json;
  json["delta_pct"] = percent_of(test.summary.mean);
  json["ci90_pct"] = {percent_of(test.interval.low), percent_of(test.interval.high)};
  json["se_source"] = test.summary.noise == NoiseSource::kBorrowed ? "borrowed" : "rounds";
  json["rounds"] = test.summary.rounds;
  json["sd_pct"] = test.summary.sd * 100;
  json["t"] = finite(test.summary.mean / test.summary.standard_error);
  json["df"] = finite(test.summary.df);
  json["p_tost"] = test.p_tost;
  json["p_diff"] = test.p_difference;
  return json;
}

Json row_json(const KernelComparison& row, const std::optional<CommonDrift>& drift) {
  Json json;
  json["kernel_id"] = row.id;
  json["short_name"] = row.short_name;
  json["name"] = row.name;
  json["material"] = row.material;
  json["named"] = row.named;
  json["outcome"] = row.outcome;
  if (!row.note.empty()) json["note"] = row.note;
  json["baseline"] = side_json(row.baseline);
  json["candidate"] = side_json(row.candidate);
  json["boots"] = {{"baseline_us", row.baseline_boots_us}, {"candidate_us", row.candidate_boots_us}};
  if (row.test) {
    json["test"] = test_json(*row.test);
    if (row.moderated) json["test"]["moderated"] = moderated_json(*row.moderated);
    if (drift) json["test"]["drift_adjusted_pct"] = percent_of(row.test->summary.mean - drift->log_ratio);
  }
  if (row.q) json["q_bh"] = *row.q;
  return json;
}

Json leg_json(const LegKernels& leg) {
  Json json;
  json["leg"] = leg.leg;
  json["baseline_ms"] = leg.baseline_ms;
  json["candidate_ms"] = leg.candidate_ms;
  json["rounds"] = leg.rounds;
  json["rows_for_99_pct"] = leg.rows_for_99;
  json["inventory"] = {{"baseline_rows", leg.baseline_rows},
                       {"candidate_rows", leg.candidate_rows},
                       {"shared", leg.shared},
                       {"same_count", leg.same_count},
                       {"slower", leg.up},
                       {"faster", leg.down},
                       {"sign_p", sign_test_p({.positive = leg.up, .negative = leg.down})}};
  json["remainder"] = {{"baseline_ms", leg.remainder_baseline_ms}, {"candidate_ms", leg.remainder_candidate_ms}};
  json["expected_calls"] = Json::array();
  for (const ExpectedCalls& one : leg.expected) {
    json["expected_calls"].push_back({{"kernel", one.kernel},
                                      {"per_step", one.wanted},
                                      {"seen", one.seen ? Json(*one.seen) : Json(nullptr)},
                                      {"named", one.named}});
  }
  json["common_drift"] = drift_json(leg.drift);
  json["kernels"] = Json::array();
  for (const KernelComparison& row : leg.rows) json["kernels"].push_back(row_json(row, leg.drift));
  return json;
}

std::string count_of(const std::optional<KernelSide>& side) { return side ? fmt::format("{}", side->calls) : ""; }
std::string mean_of(const std::optional<KernelSide>& side) { return side ? fmt::format("{:.3f}", side->mean_us) : ""; }
std::string total_of(const std::optional<KernelSide>& side) {
  return side ? fmt::format("{:.3f}", side->total_ms) : "";
}

}  // namespace

Json to_json(const std::vector<LegKernels>& legs) {
  Json json;
  json["legs"] = Json::array();
  for (const LegKernels& leg : legs) json["legs"].push_back(leg_json(leg));
  json["drift_between_legs"] = Json::array();
  for (const LegPairDrift& pair : drift_between_legs(legs)) {
    Json one = drift_json(pair.drift);
    one["leg"] = pair.leg;
    one["over"] = pair.over;
    json["drift_between_legs"].push_back(std::move(one));
  }
  return json;
}

std::string format_kernels_ab(const std::vector<LegKernels>& legs) {
  std::string text =
      "leg,kernel_id,short_name,material,calls_old,calls_new,mean_us_old,mean_us_new,total_ms_old,total_ms_new,"
      "delta_pct,ci90_low_pct,ci90_high_pct,outcome,name\n";
  for (const LegKernels& leg : legs) {
    for (const KernelComparison& row : leg.rows) {
      const auto change = [&](double value) { return row.test ? fmt::format("{:.4f}", percent_of(value)) : ""; };
      const Interval interval = row.test ? row.test->interval : Interval{};
      const std::vector<std::string> fields = {csv_field(leg.leg),
                                               row.id,
                                               csv_field(row.short_name),
                                               row.material ? "yes" : "no",
                                               count_of(row.baseline),
                                               count_of(row.candidate),
                                               mean_of(row.baseline),
                                               mean_of(row.candidate),
                                               total_of(row.baseline),
                                               total_of(row.candidate),
                                               change(row.test ? row.test->summary.mean : 0),
                                               change(interval.low),
                                               change(interval.high),
                                               row.outcome,
                                               csv_quoted(row.name)};
      text += csv_line(fields);
    }
  }
  return text;
}

}  // namespace nvllm::bench
