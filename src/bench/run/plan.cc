#include "bench/run/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/run/schedule.h"
#include "bench/stats/paired_binary_power.h"
#include "bench/stats/power.h"

namespace nvllm::bench {

namespace {

constexpr double kWanted = 0.8;        // four times in five
constexpr double kMargin = 0.02;       // where no gate declares one
constexpr double kBenignFlips = 0.03;  // of questions on each side, without any change
constexpr std::int64_t kRoundsMax = 200;

double kernel_margin(const Sweep& sweep) {
  for (const Gate& gate : sweep.gates) {
    if (gate.kind == GateKind::kEquivalent) return gate.margin;
  }
  return kMargin;
}

RulePower hypothesis_power(const SweepHypothesis& one, std::int64_t rounds,
                           std::optional<double> sigma, double margin) {
  RulePower power{.name = one.name, .text = {}};
  if (!sigma) {
    power.text = "unknown: no noise is known; `nvllm bench noise` measures it";
  } else if (rounds < 2) {
    power.text = "one round is descriptive: PROVISIONAL at best";
  } else {
    // One-sided at alpha is two-sided at twice that, but for the far tail.
    const PairedDesign design{
        .rounds = rounds, .boot_scatter = *sigma, .alpha = std::min(2 * one.alpha, 0.5)};
    const double least = detectable_difference(design, kWanted);
    power.enough = least <= margin;
    power.text = fmt::format("finds a difference of {:.2f} % four times in five, wanted {:.2f} %",
                             least * 100, margin * 100);
    PairedDesign wanted = design;
    wanted.true_difference = margin;
    if (const auto need = rounds_for_difference(wanted, kWanted, kRoundsMax);
        !power.enough && need) {
      power.text += fmt::format("; {} rounds would do", *need);
    }
  }
  return power;
}

RulePower equivalence_power(const Gate& gate, std::int64_t rounds, std::optional<double> sigma) {
  RulePower power{.name = "gate " + gate.name, .text = {}, .required = gate.required};
  if (!sigma || rounds < 2) {
    power.text =
        sigma ? "one round is descriptive: PROVISIONAL at best" : "unknown: no noise is known";
    return power;
  }
  const PairedDesign design{.rounds = rounds, .boot_scatter = *sigma};
  const double chance = tost_power(design, gate.margin);
  power.enough = chance >= kWanted;
  power.text = fmt::format("shows equality within {:g} % with chance {:.2f} where nothing changed",
                           gate.margin * 100, chance);
  if (const auto need = rounds_for_tost(design, gate.margin, kWanted, kRoundsMax);
      !power.enough && need) {
    power.text += fmt::format("; {} rounds would do", *need);
  }
  return power;
}

RulePower quality_power(const Gate& gate, std::int64_t questions) {
  RulePower power{.name = "gate " + gate.name, .text = {}, .required = gate.required};
  const double chance = noninferiority_power(
      {.questions = questions, .lose_rate = kBenignFlips / 2, .gain_rate = kBenignFlips / 2},
      gate.margin);
  power.enough = chance >= kWanted;
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
    plan.rules.push_back(
        hypothesis_power(one, settings.profile_rounds, sigma, kernel_margin(sweep)));
  }
  for (const Gate& gate : sweep.gates) {
    if (gate.kind == GateKind::kEquivalent) {
      plan.rules.push_back(equivalence_power(gate, settings.profile_rounds, sigma));
    }
    if (gate.kind == GateKind::kNoninferior && settings.gsm8k_rounds > 0) {
      plan.rules.push_back(quality_power(gate, settings.choice.n));
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
