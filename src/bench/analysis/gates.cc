#include "bench/analysis/gates.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/stats/paired_binary_power.h"

namespace nvllm::bench {

namespace {

GateLine identity_line(const LegKernels& leg) {
  GateLine line{.leg = leg.leg, .truth = Truth::kTrue, .text = {}};
  std::int64_t same = 0, material = 0;
  for (const KernelComparison& row : leg.rows) {
    if (!row.material) continue;
    ++material;
    const bool changed =
        row.outcome == "NEW" || row.outcome == "GONE" || row.outcome == "COUNT_CHANGED" || row.outcome == "INCOMPLETE";
    if (!changed) ++same;
    if (changed && line.truth == Truth::kTrue) line.text = fmt::format("; {} is {}", row.short_name, row.outcome);
    if (changed) line.truth = Truth::kFalse;
  }
  for (const ExpectedCalls& one : leg.expected) {
    if (!one.seen || *one.seen == static_cast<double>(one.wanted)) continue;
    line.truth = Truth::kFalse;
    line.text += fmt::format("; {} {:.3f} times per decode step, the sweep says {}", one.kernel, *one.seen, one.wanted);
  }
  line.text = fmt::format("{} of {} material kernels with identical calls{}", same, material, line.text);
  return line;
}

/// The material kernel that decides: one outside the margin, else one not inside it.
GateLine equivalence_line(const LegKernels& leg, double margin) {
  std::int64_t inside = 0, material = 0;
  std::string outside, open;
  for (const KernelComparison& row : leg.rows) {
    if (!row.material) continue;
    ++material;
    const std::string named = fmt::format("; {} is {}", row.short_name, row.outcome);
    if (row.outcome == "EQUIVALENT" || row.outcome == "EQUIVALENT_SHIFTED") {
      ++inside;
    } else if (row.outcome == "SLOWER" || row.outcome == "FASTER") {
      if (outside.empty()) outside = named;
    } else if (open.empty()) {
      open = named;
    }
  }
  GateLine line{.leg = leg.leg, .truth = Truth::kTrue, .text = {}};
  if (!open.empty()) line.truth = Truth::kUnknown;
  if (!outside.empty()) line.truth = Truth::kFalse;
  line.text = fmt::format("{} of {} material kernels within {:g} %{}", inside, material, margin * 100,
                          outside.empty() ? open : outside);
  return line;
}

GateLine noninferior_line(const LegAccuracy& leg, const Gate& gate) {
  const Interval change = tango_interval(leg.paired, 0.90);
  GateLine line{.leg = leg.leg, .truth = Truth::kUnknown, .text = {}};
  line.text =
      fmt::format("{} lost, {} gained of {}: 90 % interval {:+.1f} to {:+.1f} pt, margin -{:g} pt", leg.paired.lost,
                  leg.paired.gained, leg.paired.questions, change.low * 100, change.high * 100, gate.margin * 100);
  if (!leg.undecided_because.empty()) {
    line.text += fmt::format("; {}", leg.undecided_because);
  } else if (shows_noninferiority(leg.paired, gate.margin)) {
    line.truth = Truth::kTrue;
  } else if (change.high < -gate.margin) {
    line.truth = Truth::kFalse;
  }
  return line;
}

GateLine count_within_line(const LegAccuracy& leg, const Gate& gate) {
  const std::int64_t before = leg.baseline.counts.right, after = leg.candidate.counts.right;
  GateLine line{.leg = leg.leg, .truth = truth_of(std::abs(after - before) <= gate.count), .text = {}};
  line.text = fmt::format("{} to {} right, band +-{}", before, after, gate.count);
  if (leg.candidate.counts.censored > 0) {
    line.text += fmt::format(" ({} and {} of {} cut off by the deadline count as not right)",
                             leg.baseline.counts.censored, leg.candidate.counts.censored, leg.candidate.counts.total);
  }
  return line;
}

GateLine count_at_least_line(const LegAccuracy& leg, const Gate& gate) {
  const AnswerCounts& counts = leg.candidate.counts;
  GateLine line{.leg = leg.leg, .truth = truth_of(counts.right >= gate.count), .text = {}};
  const bool could_reach = counts.right + counts.censored >= gate.count;
  if (line.truth == Truth::kFalse && could_reach && gate.censored == CensoredAs::kUnknown) line.truth = Truth::kUnknown;
  line.text = fmt::format("{} of {} right, wanted {}", counts.right, counts.total, gate.count);
  if (counts.censored > 0) {
    line.text += fmt::format("; {} cut off by the deadline{}", counts.censored,
                             gate.censored == CensoredAs::kWrong ? ", counted as not right" : "");
  }
  return line;
}

GateLine closure_line(const LegAggregate& leg, const Gate& gate) {
  GateLine line{.leg = leg.leg, .truth = Truth::kUnknown, .text = "no wall time per token to hold the kernels against"};
  const auto share = coverage(leg.candidate);
  if (!share) return line;
  line.truth = truth_of(*share >= gate.lo && *share <= gate.hi);
  const TokenTimes& times = leg.candidate;
  const std::string of = times.wall_boots.empty() ? fmt::format("{} answers", times.wall->answers)
                                                  : fmt::format("unprofiled bursts of {} boots", times.wall_boots.size());
  line.text = fmt::format("kernels{} are {:.1f} % of wall time ({}), wanted {:g} to {:g} %{}",
                          times.host.empty() ? "" : " and named host work", *share * 100, of, gate.lo * 100, gate.hi * 100,
                          line.truth == Truth::kFalse ? "; BUDGET_OPEN" : "");
  return line;
}

GateLine order_line(const Gate& gate, const FolderOrder& order, const std::string& name) {
  GateLine line{.leg = name, .truth = Truth::kUnknown, .text = order.untested_because};
  if (!order.test) return line;
  bool reversed = false;
  for (std::size_t i = 0; i < gate.tied.size(); ++i) reversed |= !gate.tied[i] && order.test->gaps[i].interval.high < 0;
  line.truth = order.test->p <= 0.05 ? Truth::kTrue : reversed ? Truth::kFalse : Truth::kUnknown;
  for (const double value : order.values) line.text += fmt::format("{}{:.1f}", line.text.empty() ? "" : " < ", value);
  line.text += order.test->p < 1e-6 ? std::string(" ms/token expected in this order, p < 0.000001")
                                    : fmt::format(" ms/token expected in this order, p = {:.2g}", order.test->p);
  return line;
}

/// A leg without kernels decides nothing about them; left out, the others would decide for it.
void add_unprofiled(const Gate& gate, const Evidence& e, std::vector<GateLine>& lines) {
  for (const LegAggregate& leg : e.aggregates) {
    const auto& kernels = e.kernels_for(gate);
    const bool compared =
        std::any_of(kernels.begin(), kernels.end(), [&](const LegKernels& one) { return one.leg == leg.leg; });
    if (compared || leg.leg == gate.vs_leg || !speaks_of(gate, leg.leg)) continue;
    lines.push_back({.leg = leg.leg, .truth = Truth::kUnknown, .text = "kernels not measured in both folders"});
  }
}

/// Whether it holds times of one folder against those of another.
bool is_timing(const Gate& gate) { return gate.kind == GateKind::kEquivalent && gate.vs_leg.empty(); }

std::vector<GateLine> lines_of(const Gate& gate, const Evidence& e) {
  std::vector<GateLine> lines;
  const auto add_for = [&](const auto& legs, const auto& line_of) {
    for (const auto& leg : legs) {
      if (speaks_of(gate, leg.leg)) lines.push_back(line_of(leg));
    }
  };
  switch (gate.kind) {
    case GateKind::kIdentity:
      add_for(e.kernels, identity_line);
      add_unprofiled(gate, e, lines);
      break;
    case GateKind::kEquivalent:
      add_for(e.kernels_for(gate), [&](const LegKernels& leg) { return equivalence_line(leg, gate.margin); });
      add_unprofiled(gate, e, lines);
      break;
    case GateKind::kNoninferior:
      add_for(e.accuracy, [&](const LegAccuracy& leg) { return noninferior_line(leg, gate); });
      break;
    case GateKind::kCountWithin:
      add_for(e.accuracy, [&](const LegAccuracy& leg) { return count_within_line(leg, gate); });
      break;
    case GateKind::kCountAtLeast:
      add_for(e.accuracy, [&](const LegAccuracy& leg) { return count_at_least_line(leg, gate); });
      break;
    case GateKind::kClosure:
      add_for(e.aggregates, [&](const LegAggregate& leg) { return closure_line(leg, gate); });
      break;
    case GateKind::kOrder:
      for (const LegOrder& order : e.orders) {
        if (order.gate != &gate) continue;
        lines.push_back(order_line(gate, order.baseline, "baseline"));
        lines.push_back(order_line(gate, order.candidate, "candidate"));
      }
      break;
  }
  return lines;
}

/// One round, borrowed noise, or rounds that met one boot: no better than PROVISIONAL. Counts carry
/// no noise of their own.
Grade grade_of(const Gate& gate, const Evidence& e) {
  bool borrowed = false;
  if (gate.kind == GateKind::kEquivalent) {
    for (const LegKernels& leg : e.kernels_for(gate)) borrowed |= leg.rounds < 2;
  }
  for (const LegOrder& order : e.orders) borrowed |= order.gate == &gate && order.borrowed;
  if (gate.kind == GateKind::kClosure) {
    for (const LegAggregate& leg : e.aggregates) borrowed |= leg.candidate.kernels.size() < 2;
  }
  const bool of_times =
      gate.kind == GateKind::kEquivalent || gate.kind == GateKind::kOrder || gate.kind == GateKind::kClosure;
  for (const LegAggregate& leg : e.aggregates) {
    borrowed |= of_times && !(leg.baseline.restarted && leg.candidate.restarted);
  }
  return borrowed ? Grade::kProvisional : Grade::kConfirmed;
}

/// What gates of the old kind let through, so that nobody takes the pass for a proof.
std::string legacy_power(const Gate& gate, const Evidence& e) {
  if (e.accuracy.empty()) return "";
  const std::int64_t n = e.accuracy[0].paired.questions;
  constexpr double kFlips = 0.03;  // on each side, without any change
  const auto passes = [&](double loss) {
    return count_within_power({.questions = n, .lose_rate = kFlips + loss, .gain_rate = kFlips}, gate.count) * 100;
  };
  return fmt::format(
      "with 3 % benign flips on each side this band of {} questions passes {:.0f} % of harmless changes, {:.0f} % of "
      "those that lose "
      "5 points and {:.0f} % of those that lose 10",
      n, passes(0), passes(0.05), passes(0.10));
}

}  // namespace

const std::vector<LegKernels>& Evidence::kernels_for(const Gate& gate) const {
  for (const WithinFolder& one : within) {
    if (one.gate == &gate) return one.kernels;
  }
  return kernels;
}

GateAnswer evaluate_gate(const Gate& gate, const Evidence& evidence) {
  GateAnswer answer;
  answer.gate = &gate;
  if (is_timing(gate) && evidence.comparability.same_host == SameHost::kNo) {
    answer.result.unknown_because = fmt::format("timing: other host ({})", evidence.comparability.host_note);
    return answer;
  }
  answer.lines = lines_of(gate, evidence);
  answer.result.grade = grade_of(gate, evidence);
  if (answer.lines.empty()) {
    answer.result.unknown_because = gate.vs_leg.empty() ? "nothing in both folders to compare"
                                                        : fmt::format("nothing to compare with leg {}", gate.vs_leg);
    return answer;
  }
  answer.result.truth = Truth::kTrue;
  for (const GateLine& line : answer.lines) answer.result.truth = truth_and(answer.result.truth, line.truth);
  if (answer.result.truth == Truth::kUnknown) {
    for (const GateLine& line : answer.lines) {
      if (line.truth != Truth::kUnknown) continue;
      answer.result.unknown_because = line.leg + ": " + line.text;
      break;
    }
  }
  if (gate.kind == GateKind::kCountWithin) {
    answer.lines.push_back({.leg = "", .truth = Truth::kUnknown, .text = legacy_power(gate, evidence)});
  }
  return answer;
}

std::string gate_state(const GateResult& result) {
  if (result.truth == Truth::kUnknown) return "INCONCLUSIVE";
  const std::string state = result.truth == Truth::kTrue ? "PASS" : "FAIL";
  return result.grade == Grade::kProvisional ? state + " (PROVISIONAL)" : state;
}

Json to_json(const std::vector<GateAnswer>& gates) {
  Json json;
  json["gates"] = Json::array();
  for (const GateAnswer& answer : gates) {
    Json one;
    one["name"] = answer.gate->name;
    one["kind"] = to_string(answer.gate->kind);
    one["required"] = answer.gate->required;
    if (!answer.gate->vs_leg.empty()) one["vs"] = answer.gate->vs_leg;
    one["outcome"] = gate_state(answer.result);
    one["truth"] = to_string(answer.result.truth);
    if (!answer.result.unknown_because.empty()) one["because"] = answer.result.unknown_because;
    one["lines"] = Json::array();
    for (const GateLine& line : answer.lines) {
      one["lines"].push_back({{"leg", line.leg}, {"truth", to_string(line.truth)}, {"text", line.text}});
    }
    json["gates"].push_back(std::move(one));
  }
  return json;
}

}  // namespace nvllm::bench
