#include "bench/analysis/verdict_json.h"

namespace nvllm::bench {

namespace {

Json quantity_json(const Quantity& quantity) {
  return {{"value", quantity.value}, {"unit", quantity.unit.symbol}, {"text", format_quantity(quantity)}};
}

Json comparison_json(const ComparisonResult& comparison) {
  Json json;
  json["text"] = comparison.text;
  json["truth"] = to_string(comparison.truth);
  if (comparison.estimate) json["estimate"] = quantity_json(*comparison.estimate);
  if (comparison.interval) {
    json["interval"] = {comparison.interval->low, comparison.interval->high};
    json["interval_level"] = comparison.interval_level;
  }
  json["p"] = comparison.p ? Json(*comparison.p) : Json(nullptr);
  json["rounds"] = comparison.rounds;
  json["need_rounds"] = comparison.need ? Json(*comparison.need) : Json(nullptr);
  json["flips"] = Json::array();
  for (const Flip& flip : comparison.flips) {
    json["flips"].push_back({{"fact", flip.fact},
                             {"change_percent", flip.change_percent},
                             {"now", quantity_json(flip.now)},
                             {"at_flip", quantity_json(flip.at_flip)}});
  }
  if (!comparison.unknown_because.empty()) json["unknown_because"] = comparison.unknown_because;
  return json;
}

Json input_json(const Input& input) {
  Json json;
  json["call"] = input.call;
  if (!input.fact.unknown_because.empty()) {
    json["unknown_because"] = input.fact.unknown_because;
    return json;
  }
  json["estimate"] = quantity_json(input.fact.estimate);
  json["standard_error"] = input.fact.standard_error ? Json(*input.fact.standard_error) : Json(nullptr);
  json["rounds"] = input.fact.rounds;
  return json;
}

Json hypothesis_json(const HypothesisResult& hypothesis, const std::optional<double>& p_holm) {
  Json json;
  json["name"] = hypothesis.name;
  json["text"] = hypothesis.text;
  json["alpha"] = hypothesis.alpha;
  json["state"] = state_text(hypothesis.truth, hypothesis.grade);
  json["p_holm"] = p_holm ? Json(*p_holm) : Json(nullptr);
  json["comparisons"] = Json::array();
  for (const ComparisonResult& one : hypothesis.comparisons) json["comparisons"].push_back(comparison_json(one));
  json["inputs"] = Json::array();
  for (const Input& input : hypothesis.inputs) json["inputs"].push_back(input_json(input));
  return json;
}

}  // namespace

std::string verdict_state(const Verdict& verdict) {
  return verdict.grade ? std::string(to_string(*verdict.grade)) : "INCONCLUSIVE";
}

Json verdict_json(const Sweep& sweep, const Verdict& verdict, const std::vector<HypothesisResult>& hypotheses,
                  const std::vector<std::optional<double>>& p_holm, const Registration& registration) {
  Json json;
  json["id"] = verdict.id;
  json["outcome"] = verdict_state(verdict);
  json["text"] = verdict.text;
  json["claim"] = sweep.claim;
  json["hypotheses"] = Json::array();
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    json["hypotheses"].push_back(hypothesis_json(hypotheses[i], p_holm[i]));
  }
  json["truth_table"] = Json::array();
  for (const TruthRow& row : verdict.rows) {
    json["truth_table"].push_back({{"text", row.text},
                                   {"truth", to_string(row.truth)},
                                   {"grade", row.grade ? Json(to_string(*row.grade)) : Json(nullptr)},
                                   {"note", row.note}});
  }
  json["post_hoc"] = registration.post_hoc;
  json["post_hoc_reason"] = registration.reason;
  json["prereg_hash"] = sweep.rules_hash;
  json["sweep_hash"] = sweep.sweep_hash;
  if (sweep.noise) {
    json["borrowed_noise"] = {{"boot_sigma", sweep.noise->boot_sigma}, {"source", sweep.noise->source}};
  }
  return json;
}

}  // namespace nvllm::bench
