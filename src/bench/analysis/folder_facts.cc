#include "bench/analysis/folder_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "bench/analysis/family.h"
#include "bench/rules/hypothesis.h"

namespace nvllm::bench {

namespace {

/// Total time over calls of all rows that the pattern finds; nothing where it finds none.
std::optional<double> mean_us(const KernelTable& table, const std::string& pattern) {
  const auto rows = find_kernels(table, pattern);
  if (rows.size() == 1) return rows[0]->mean_us;
  double sum_us = 0;
  std::int64_t calls = 0;
  for (const KernelRow* row : rows) {
    sum_us += row->mean_us * static_cast<double>(row->n_calls);
    calls += row->n_calls;
  }
  if (calls == 0) return std::nullopt;
  return sum_us / static_cast<double>(calls);
}

/// Geometric mean over the calls of all rows that the pattern finds: an interruption that lengthens one
/// call a hundredfold hardly moves it. Nothing where it finds none, or where a row's source did not keep it.
std::optional<double> geomean_us(const KernelTable& table, const std::string& pattern) {
  double logs = 0;
  std::int64_t calls = 0;
  for (const KernelRow* row : find_kernels(table, pattern)) {
    if (!row->log_mean) return std::nullopt;
    logs += *row->log_mean * static_cast<double>(row->n_calls);
    calls += row->n_calls;
  }
  if (calls == 0) return std::nullopt;
  return std::exp(logs / static_cast<double>(calls));
}

bool has_leg(const Sweep& sweep, const std::string& name) {
  return std::any_of(sweep.legs.begin(), sweep.legs.end(), [&](const SweepLeg& leg) { return leg.name == name; });
}

}  // namespace

Fact FolderFacts::from_rounds(const std::string& leg, std::vector<double> values, const char* symbol,
                              const std::string& missing) const {
  if (values.empty()) return unknown_fact(unit(symbol), missing);
  if (values.size() >= 2) {
    const LegEvidence* found = find_leg(folder_, leg);
    const bool boots = found == nullptr || was_restarted(*found);
    return fact_from_rounds(std::move(values), unit(symbol), boots ? Grade::kConfirmed : Grade::kProvisional);
  }
  Fact fact;
  fact.estimate = {.value = values[0], .unit = unit(symbol)};
  fact.grade = Grade::kProvisional;
  if (sweep_.noise) fact.standard_error = values[0] * sweep_.noise->boot_sigma;
  return fact;
}

Fact FolderFacts::call_time(const std::string& leg, const std::string& kernel, const char* symbol,
                            CallTime time_us) const {
  std::vector<double> values;
  if (const LegEvidence* found = find_leg(folder_, leg)) {
    for (const KernelTable& table : found->profiles) {
      const auto mean = time_us(table, kernel);
      if (mean) values.push_back(*mean / unit(symbol).scale);
    }
  }
  return from_rounds(leg, std::move(values), symbol, fmt::format("no kernel {} was profiled in leg {}", kernel, leg));
}

Fact FolderFacts::token_time(const std::string& leg, const std::string& metric) const {
  const auto found = std::find_if(legs_.begin(), legs_.end(), [&](const LegAggregate& one) { return one.leg == leg; });
  std::vector<double> values;
  if (found != legs_.end()) values = values_of(found->candidate, metric);
  return from_rounds(leg, std::move(values), "ms/token", fmt::format("leg {} has no {} time per token", leg, metric));
}

Fact FolderFacts::count_answers(const std::string& leg, const std::string& what) const {
  const LegEvidence* found = find_leg(folder_, leg);
  if (found == nullptr || found->questions.empty()) {
    return unknown_fact(unit(""), fmt::format("leg {} put no questions", leg));
  }
  std::int64_t count = 0;
  for (const QuestionResult& q : found->questions) {
    if (q.round != found->questions.front().round) continue;  // as accuracy counts: each question once
    count += what == "right" ? q.correct : q.censored;
  }
  Fact fact;
  fact.estimate = {.value = static_cast<double>(count), .unit = unit("")};
  fact.standard_error = 0;
  return fact;
}

/// Questions that two legs answered with other tokens. Without token ids nothing is known of them.
Fact FolderFacts::count_other_tokens(const std::string& leg, const std::string& other) const {
  const LegEvidence *one = find_leg(folder_, leg), *two = find_leg(folder_, other);
  if (one == nullptr || two == nullptr || one->questions.empty() || two->questions.empty()) {
    return unknown_fact(unit(""), fmt::format("legs {} and {} did not both put questions", leg, other));
  }
  std::map<std::int64_t, std::string> hashes;
  for (const QuestionResult& q : two->questions) {
    if (q.round == two->questions.front().round) hashes[q.prompt_index] = q.token_ids_sha256;
  }
  std::int64_t count = 0;
  for (const QuestionResult& q : one->questions) {
    if (q.round != one->questions.front().round) continue;
    const auto found = hashes.find(q.prompt_index);
    if (found == hashes.end() || found->second.empty() || q.token_ids_sha256.empty()) {
      return unknown_fact(unit(""), fmt::format("the token ids of question {} are not known in both legs",
                                                q.prompt_index));
    }
    count += found->second != q.token_ids_sha256;
  }
  Fact fact;
  fact.estimate = {.value = static_cast<double>(count), .unit = unit("")};
  fact.standard_error = 0;
  return fact;
}

std::optional<Fact> FolderFacts::find(const std::string& name, const std::vector<std::string>& arguments) const {
  if (arguments.empty() || !has_leg(sweep_, arguments[0])) return std::nullopt;
  const std::string& leg = arguments[0];
  if (name == "mean_us" && arguments.size() == 2) return call_time(leg, arguments[1], "us", mean_us);
  if (name == "mean_ms" && arguments.size() == 2) return call_time(leg, arguments[1], "ms", mean_us);
  if (name == "geomean_us" && arguments.size() == 2) return call_time(leg, arguments[1], "us", geomean_us);
  if (name == "ms_per_token" && arguments.size() == 1) return token_time(leg, "kernels");
  if (name == "ms_per_token" && arguments.size() == 2) {
    for (const char* metric : {"named", "kernels", "wall"}) {
      if (arguments[1] == metric) return token_time(leg, metric);
    }
  }
  if (name == "other_tokens" && arguments.size() == 2 && has_leg(sweep_, arguments[1])) {
    return count_other_tokens(leg, arguments[1]);
  }
  if ((name == "right" || name == "censored") && arguments.size() == 1) return count_answers(leg, name);
  return std::nullopt;
}

TestedFamily test_hypotheses(const Sweep& sweep, const EvidenceFolder& folder,
                             const std::vector<LegAggregate>& legs) {
  const FolderFacts facts(sweep, folder, legs);
  TestedFamily family;
  for (const SweepHypothesis& one : sweep.hypotheses) {
    family.hypotheses.push_back(evaluate_hypothesis(one.name, one.rule, facts, one.alpha));
  }
  family.p_holm = apply_holm(family.hypotheses);
  return family;
}

void check_hypotheses(const Sweep& sweep) {
  const EvidenceFolder nothing;
  const std::vector<LegAggregate> no_legs;
  const FolderFacts facts(sweep, nothing, no_legs);
  for (const SweepHypothesis& one : sweep.hypotheses) {
    try {
      static_cast<void>(evaluate_hypothesis(one.name, one.rule, facts, one.alpha));
    } catch (const Error& error) {
      throw_sweep_error(sweep.what, one.place, fmt::format("'hypotheses.{}.expr' {}", one.name, error.what()));
    }
  }
}

std::string FolderFacts::vocabulary() const {
  return "mean_us(LEG,KERNEL), mean_ms(LEG,KERNEL), geomean_us(LEG,KERNEL), ms_per_token(LEG), ms_per_token(LEG,named|kernels|wall), "
         "right(LEG), censored(LEG), other_tokens(LEG,LEG), with a leg of the sweep";
}

}  // namespace nvllm::bench
