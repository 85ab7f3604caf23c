#include "bench/run/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/run/schedule.h"
#include "bench/stats/paired_binary_power.h"
#include "bench/stats/power.h"

namespace nvllm::bench {

namespace {

constexpr double kMargin = 0.02;       // where no gate declares one
constexpr double kBenignFlips = 0.03;  // of questions on each side, without any change
constexpr std::int64_t kRoundsMax = 200;

double kernel_margin(const Sweep& sweep) {
  for (const Gate& gate : sweep.gates) {
    if (gate.kind == GateKind::kEquivalent) return gate.margin;
  }
  return kMargin;
}

/// The scatter of a kernel's mean time, or 0.
double scatter_of_mean(const Expression& call, const std::map<std::string, double>& scatters) {
  if (call.kind != ExpressionKind::kCall || !call.token.text.starts_with("mean_")) return 0;
  const auto found = scatters.find(call.token.arguments.back());
  return found == scatters.end() ? 0 : found->second;
}

/// The scatter of geomean_us(LEG,KERNEL) / geomean_us(LEG,OTHER), which a slower machine leaves as
/// it is; 0 where it is something else or unknown.
double scatter_of_quotient(const Expression& expression, const NoiseFloor& noise) {
  if (expression.kind != ExpressionKind::kBinary || expression.token.text != "/") return 0;
  const Token &above = expression.children[0].token, &below = expression.children[1].token;
  for (const Token* call : {&above, &below}) {
    if (call->kind != TokenKind::kCall || call->text != "geomean_us") return 0;
  }
  if (above.arguments.front() != below.arguments.front()) return 0;
  const auto one = noise.relative.find(above.arguments.back());
  const auto other = noise.relative.find(below.arguments.back());
  if (one == noise.relative.end() || other == noise.relative.end()) return 0;
  return std::hypot(one->second, other->second);
}

/// The scatter of what a hypothesis compares: of the kernel that scatters most among those whose
/// mean times it names; 0 where it names none.
double scatter_of(const Expression& expression, const NoiseFloor& noise) {
  if (const double scatter = scatter_of_quotient(expression, noise); scatter > 0) return scatter;
  double most = scatter_of_mean(expression, noise.kernels);
  for (const Expression& child : expression.children) {
    most = std::max(most, scatter_of(child, noise));
  }
  return most;
}

RulePower hypothesis_power(const SweepHypothesis& one, std::int64_t rounds,
                           std::optional<double> sigma, double effect, double wanted_power) {
  RulePower power{.name = one.name, .text = {}, .rounds = {}};
  if (!sigma) {
    power.text = "unknown: no noise is known; `nvllm bench noise` measures it";
    return power;
  }
  // One-sided at alpha is two-sided at twice that, but for the far tail.
  const std::string& operation = one.rule.root.token.text;
  const bool both_ways = operation == "==" || operation == "!=";
  PairedDesign design{.rounds = rounds,
                      .boot_scatter = *sigma,
                      .true_difference = effect,
                      .alpha = both_ways ? one.alpha : std::min(2 * one.alpha, 0.5)};
  power.rounds = rounds_for_difference(design, wanted_power, kRoundsMax);
  if (rounds < 2) {
    power.text = "one round is descriptive: PROVISIONAL at best";
    return power;
  }
  const double least = detectable_difference(design, wanted_power);
  power.enough = least <= effect;
  power.text = fmt::format("finds a difference of {:.2f} % with chance {:g}, wanted {:.2f} %",
                           least * 100, wanted_power, effect * 100);
  if (power.rounds) {
    power.text += fmt::format("; {} rounds {}", *power.rounds,
                              power.enough ? "are the fewest that do" : "would do");
  }
  return power;
}

RulePower equivalence_power(const Gate& gate, std::int64_t rounds, std::optional<double> sigma,
                            double wanted_power) {
  RulePower power{.name = "gate " + gate.name, .text = {}, .required = gate.required, .rounds = {}};
  if (!sigma || rounds < 2) {
    power.text =
        sigma ? "one round is descriptive: PROVISIONAL at best" : "unknown: no noise is known";
    return power;
  }
  const PairedDesign design{.rounds = rounds, .boot_scatter = *sigma};
  const double chance = tost_power(design, gate.margin);
  power.enough = chance >= wanted_power;
  power.text = fmt::format("shows equality within {:g} % with chance {:.2f} where nothing changed",
                           gate.margin * 100, chance);
  power.rounds = rounds_for_tost(design, gate.margin, wanted_power, kRoundsMax);
  if (!power.enough && power.rounds) {
    power.text += fmt::format("; {} rounds would do", *power.rounds);
  }
  return power;
}

RulePower quality_power(const Gate& gate, std::int64_t questions, double wanted_power) {
  RulePower power{.name = "gate " + gate.name, .text = {}, .required = gate.required, .rounds = {}};
  const double chance = noninferiority_power(
      {.questions = questions, .lose_rate = kBenignFlips / 2, .gain_rate = kBenignFlips / 2},
      gate.margin);
  power.enough = chance >= wanted_power;
  power.text = fmt::format(
      "{} questions show a loss below {:g} pt with chance {:.2f} where nothing was lost and 3 % "
      "flip",
      questions, gate.margin * 100, chance);
  return power;
}

}  // namespace

bool SweepPlan::underpowered() const {
  return std::any_of(rules.begin(), rules.end(),
                     [](const RulePower& one) { return one.required && !one.enough; });
}

SweepPlan plan_sweep(const Sweep& sweep, const RunSettings& settings,
                     const std::optional<NoiseFloor>& measured) {
  SweepPlan plan;
  plan.units = schedule_units(sweep, settings);
  std::optional<double> sigma;
  if (measured) {
    sigma = measured->boot_sigma;
    plan.noise_source = fmt::format("measured: {:.3f} % between boots, from {} boots", *sigma * 100,
                                    measured->boots);
    double seconds = 0;
    bool known = true;
    for (const Unit& unit : plan.units) {
      const auto found = measured->unit_s.find(unit.phase);
      known = known && found != measured->unit_s.end();
      if (known) seconds += found->second;
    }
    if (known) plan.seconds = seconds;
  } else if (sweep.noise) {
    sigma = sweep.noise->boot_sigma;
    plan.noise_source =
        fmt::format("borrowed: {:.3f} % between boots ({})", *sigma * 100, sweep.noise->source);
  }
  for (const SweepHypothesis& one : sweep.hypotheses) {
    std::optional<double> own = sigma;
    if (const double scatter = measured ? scatter_of(one.rule.root, *measured) : 0; scatter > 0) {
      own = scatter;
    }
    plan.rules.push_back(hypothesis_power(one, settings.profile_rounds, own,
                                          one.effect.value_or(kernel_margin(sweep)),
                                          settings.power));
  }
  for (const Gate& gate : sweep.gates) {
    if (gate.kind == GateKind::kEquivalent) {
      plan.rules.push_back(equivalence_power(gate, settings.profile_rounds, sigma, settings.power));
    }
    if (gate.kind == GateKind::kNoninferior && settings.gsm8k_rounds > 0) {
      plan.rules.push_back(quality_power(gate, settings.choice.n, settings.power));
    }
  }
  return plan;
}

std::string plan_text(const SweepPlan& plan) {
  std::string text =
      fmt::format("{} units, each in a server boot of its own:\n", plan.units.size());
  std::int64_t round = 0;
  for (const Unit& unit : plan.units) {
    if (unit.round != round)
      text += fmt::format("{}  round {:>2}:", round == 0 ? "" : "\n", unit.round);
    round = unit.round;
    text += fmt::format(" {}/{}", unit.leg, unit.phase);
  }
  text += plan.seconds ? fmt::format("\ntime: about {:.0f} s, by an earlier run\n", *plan.seconds)
                       : std::string("\ntime: unknown; noise.json of an earlier run would tell\n");
  text += fmt::format("noise: {}\n", plan.noise_source.empty() ? "not known" : plan.noise_source);
  for (const RulePower& one : plan.rules) {
    text += fmt::format("{:<14} {:<7} {}{}\n", one.name, one.enough ? "enough" : "SHORT", one.text,
                        one.required ? "" : " (not required)");
  }
  return text;
}

}  // namespace nvllm::bench
