#include "bench/analysis/comparison.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/answer_texts.h"
#include "bench/analysis/call_laws.h"
#include "bench/analysis/deviations.h"
#include "bench/analysis/family.h"
#include "bench/analysis/folder_facts.h"
#include "bench/analysis/folder_json.h"
#include "bench/analysis/gates.h"
#include "bench/analysis/kernel_power.h"
#include "bench/analysis/run_facts.h"
#include "bench/analysis/verdict_json.h"
#include "bench/store/canonical_json.h"
#include "bench/store/json_field.h"

namespace nvllm::bench {

namespace {

constexpr double kMargin = 0.02;         // of kernels, where no gate declares one
constexpr double kQualityMargin = 0.04;  // of accuracy, likewise
constexpr std::int64_t kPreregBytesMax = 1 << 20;

double margin_of(const Sweep& sweep, GateKind kind, double otherwise) {
  for (const Gate& gate : sweep.gates) {
    if (gate.kind == kind) return gate.margin;
  }
  return otherwise;
}

ComparisonExit exit_of(const std::vector<GateAnswer>& gates, const Verdict& verdict) {
  bool open = !verdict.grade.has_value();
  for (const GateAnswer& answer : gates) {
    if (!answer.gate->required) continue;
    if (answer.result.truth == Truth::kFalse) return ComparisonExit::kGateFailed;
    open |= answer.result.truth == Truth::kUnknown;
  }
  return open ? ComparisonExit::kInconclusive : ComparisonExit::kPassed;
}

/// Gives every analysis file its head, and its text.
void finish(Comparison& comparison, const std::string& tool) {
  for (auto& [name, json] : comparison.analysis.items()) {
    Json file;
    file["schema"] = fmt::format("nvllm.analysis.{}/v1", name);
    file["tool"] = tool;
    for (const auto& [key, value] : json.items()) file[key] = value;
    json = file;
    comparison.files[fmt::format("analysis/{}.json", name)] = readable_json(file);
  }
}

Json not_comparable_verdict(const Sweep& sweep, const Comparability& comparability) {
  const FieldDifference& first = comparability.blocking.front();
  Json json;
  json["id"] = "not-comparable";
  json["outcome"] = "NOT_COMPARABLE";
  json["text"] =
      fmt::format("{} is {} in the baseline and {} in the candidate.", first.field, first.baseline, first.candidate);
  json["claim"] = sweep.claim;
  json["prereg_hash"] = sweep.rules_hash;
  json["sweep_hash"] = sweep.sweep_hash;
  return json;
}

/// Verdict and gates, on everything measured.
void judge(const Sweep& sweep, const EvidenceFolder& candidate, const Evidence& evidence, Comparison& comparison) {
  std::vector<GateAnswer> gates;
  Outcomes outcomes;
  for (const Gate& gate : sweep.gates) {
    gates.push_back(evaluate_gate(gate, evidence));
    outcomes.gates[gate.name] = gates.back().result;
  }
  const TestedFamily family = test_hypotheses(sweep, candidate, evidence.aggregates);
  for (const HypothesisResult& one : family.hypotheses) outcomes.hypotheses[one.name] = one;
  Verdict verdict =
      decide(sweep.verdict, outcomes).value_or(Verdict{.id = "no-rule-applies", .text = "", .grade = {}, .rows = {}});
  comparison.exit = exit_of(gates, verdict);
  comparison.analysis["gates"] = to_json(gates);
  comparison.analysis["verdict"] =
      verdict_json(sweep, verdict, family.hypotheses, family.p_holm, check_registration(sweep, candidate));
}

}  // namespace

Registration check_registration(const Sweep& sweep, const EvidenceFolder& candidate) {
  const std::filesystem::path path = candidate.path / "prereg.json";
  if (!std::filesystem::exists(path)) {
    return {.post_hoc = true,
            .reason = "the folder has no prereg.json: nothing shows that the rules are older than the data"};
  }
  const Json prereg = parse_json(read_file(path, kPreregBytesMax), path.string());
  const std::string hash = text_field(prereg, "rules_hash", path.string());
  if (hash == sweep.rules_hash)
    return {.post_hoc = false, .reason = "the rules are those registered before the measurement"};
  return {.post_hoc = true, .reason = fmt::format("the rules registered were others (hash {}...)", hash.substr(0, 12))};
}

Comparison compare_folders(const Sweep& sweep, const EvidenceFolder& baseline, const EvidenceFolder& candidate,
                           const std::string& tool) {
  check_hypotheses(sweep);
  Comparison comparison;
  const Comparability comparability = check_comparability(sweep, baseline, candidate);
  comparison.analysis["comparability"] = to_json(comparability);
  comparison.analysis["comparability"]["baseline"] = folder_json(baseline);
  comparison.analysis["comparability"]["candidate"] = folder_json(candidate);
  comparison.analysis["comparability"]["baseline"]["deviations"] = find_deviations(sweep, baseline);
  comparison.analysis["comparability"]["candidate"]["deviations"] = find_deviations(sweep, candidate);
  comparison.analysis["comparability"]["sweep"] = sweep.canonical;
  if (!comparability.blocking.empty()) {
    comparison.exit = ComparisonExit::kNotComparable;
    comparison.analysis["verdict"] = not_comparable_verdict(sweep, comparability);
    finish(comparison, tool);
    return comparison;
  }
  const double margin = margin_of(sweep, GateKind::kEquivalent, kMargin);
  const auto kernels = compare_kernels(sweep, baseline, candidate, margin);
  const auto aggregates = aggregate(sweep, baseline, candidate);
  const auto accuracy = compare_accuracy(sweep, baseline, candidate);
  std::vector<LegOrder> orders;
  std::vector<WithinFolder> within;
  for (const Gate& gate : sweep.gates) {
    if (gate.kind == GateKind::kOrder) orders.push_back(test_leg_order(gate, sweep, aggregates));
    if (!gate.vs_leg.empty()) within.push_back({&gate, compare_with_leg(sweep, candidate, gate)});
  }
  comparison.analysis["kernels_ab"] = to_json(kernels);
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    comparison.analysis["kernels_ab"]["legs"][i]["power"] = kernel_power_json(kernels[i], margin, sweep.noise);
  }
  comparison.analysis["aggregate"] = to_json(aggregates);
  comparison.analysis["accuracy"] = to_json(accuracy, margin_of(sweep, GateKind::kNoninferior, kQualityMargin));
  comparison.analysis["order"] = Json::object();
  comparison.analysis["order"]["orders"] = Json::array();
  for (const LegOrder& order : orders) comparison.analysis["order"]["orders"].push_back(to_json(order));
  comparison.analysis["call_law"] = call_law_json(sweep, baseline, candidate);
  comparison.analysis["answers"] = answer_texts_json(sweep, baseline, candidate);
  comparison.analysis["run"] = run_json(baseline, candidate);
  judge(sweep, candidate, {sweep, comparability, kernels, aggregates, accuracy, orders, within}, comparison);
  finish(comparison, tool);
  comparison.files["analysis/kernels_ab.csv"] = format_kernels_ab(kernels);
  return comparison;
}

}  // namespace nvllm::bench
