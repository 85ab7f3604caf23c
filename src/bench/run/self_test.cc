#include "bench/run/self_test.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/open_folder.h"
#include "bench/rules/hypothesis.h"
#include "bench/run/derive.h"
#include "bench/store/manifest.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr double kConfidence = 0.95;
constexpr std::int64_t kFileBytesMax = 64 << 20;

/// What the folder said of its first hypothesis when it was measured.
std::string declared_state(const fs::path& folder) {
  const Json verdict = parse_json(read_file(folder / "analysis/verdict.json", kFileBytesMax),
                                  "verdict.json", {.depth_max = 32, .nodes_max = 1'000'000});
  return verdict.at("hypotheses").at(0).at("state");
}

void check_alike(const RecordedSweeps& all, const Sweep& sweep, const Json& host,
                 const fs::path& folder) {
  const char* other = sweep.sweep_hash != all.sweep.sweep_hash ? "sweep file"
                      : host != all.host                       ? "host"
                                                               : nullptr;
  if (other == nullptr) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("{}: of another {} than the folders before it; give each its own parent",
                          folder.string(), other));
}

void add_folder(const fs::path& path, RecordedSweeps& all) {
  const Sweep sweep = sweep_of_folder(path);
  const EvidenceFolder folder = open_evidence(path);
  const Json host = folder.provenance.value("host", Json());
  if (all.finished == 0) {
    all.sweep = sweep;
    all.host = host;
    all.rounds = static_cast<std::int64_t>(folder.legs.at(0).profiles.size());
  }
  check_alike(all, sweep, host, path);
  const Truth truth = decide_hypotheses(sweep, folder).at(0);
  const std::string declared = declared_state(path), now = state_text(truth, Grade::kConfirmed);
  if (declared != now) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: declared {}, but its data say {}", path.string(), declared, now));
  }
  ++all.finished;
  all.confirmed += truth == Truth::kTrue;
  add_boots(folder, all.pools);
}

Json rate_json(Tally tally, std::int64_t rounds) {
  const Interval interval = clopper_pearson(tally, kConfidence);
  return Json{{"rounds", rounds},
              {"confirmed", tally.count},
              {"of", tally.trials},
              {"share", static_cast<double>(tally.count) / static_cast<double>(tally.trials)},
              {"interval", {interval.low, interval.high}}};
}

/// The rates of one sweep file: of the sweeps that were run, and of those drawn from their rounds and boots.
Json rates_json(const RecordedSweeps& all, const BootPools& boots, const DrawOptions& by_boot, DrawUnit round) {
  DrawOptions by_round = by_boot;
  by_round.unit = round;
  const SweepHypothesis& hypothesis = all.sweep.hypotheses.at(0);
  Json json;
  json["sweep"] = all.sweep.name;
  json["sweep_hash"] = all.sweep.sweep_hash;
  json["hypothesis"] = hypothesis.rule.text;
  json["alpha"] = hypothesis.alpha;
  json["unfinished_sweeps"] = all.unfinished;
  json["recorded"] = rate_json({all.confirmed, all.finished}, all.rounds);
  json["drawn_by_round"] = rate_json(confirmed_in_draws(all.sweep, all.pools, by_round).at(0), by_round.rounds);
  json["drawn_by_boot"] = rate_json(confirmed_in_draws(all.sweep, boots, by_boot).at(0), by_boot.rounds);
  for (const auto& [leg, pool] : all.pools) json["boots"][leg] = pool.size();
  return json;
}

std::string percent(const Json& share) {
  return fmt::format("{:.1f} %", 100 * share.get<double>());
}

std::string row(const char* what, const Json& rate, const std::string& wanted) {
  return fmt::format("| {} | {} | {} of {} | {} | {} to {} | {} |\n", what,
                     rate.at("rounds").get<std::int64_t>(),
                     rate.at("confirmed").get<std::int64_t>(), rate.at("of").get<std::int64_t>(),
                     percent(rate.at("share")), percent(rate.at("interval").at(0)),
                     percent(rate.at("interval").at(1)), wanted);
}

}  // namespace

RecordedSweeps read_recorded_sweeps(const fs::path& parent) {
  RecordedSweeps all;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(parent)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& folder : folders) {
    if (has_manifest(folder)) {
      add_folder(folder, all);
    } else {
      ++all.unfinished;
    }
  }
  if (all.finished == 0) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: no finished sweep in it", parent.string()));
  }
  return all;
}

RulePower plan_first_hypothesis(const Sweep& sweep, const NoiseFloor& noise) {
  const RulePower rule = plan_sweep(sweep, run_settings(sweep, ""), noise).rules.at(0);
  if (!rule.rounds) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: no number of rounds suffices: {}", sweep.what, rule.text));
  }
  return rule;
}

Json self_test_json(const SelfTest& test) {
  const RulePower plan = plan_first_hypothesis(test.planted.sweep, test.noise);
  Json json;
  json["schema"] = "nvllm.self_test/v1";
  json["host"] = test.same.host;
  json["confidence"] = kConfidence;
  json["false_alarms"] = rates_json(test.same, without_labels(test.same.pools),
                                    {.draws = test.draws, .rounds = test.same.rounds}, DrawUnit::kShuffledRound);
  Json& detection = json["detection"];
  detection =
      rates_json(test.planted, test.planted.pools, {.draws = test.draws, .rounds = *plan.rounds}, DrawUnit::kRound);
  detection["effect"] = test.planted.sweep.hypotheses.at(0).effect.value_or(0);
  for (const SweepLeg& leg : test.planted.sweep.legs) detection["env"][leg.name] = leg.env;
  detection["power"] = run_settings(test.planted.sweep, "").power;
  detection["plan"] = plan.text;
  return json;
}

std::string self_test_table(const Json& json) {
  const Json &alarms = json.at("false_alarms"), &found = json.at("detection");
  const std::string level = "declared " + percent(alarms.at("alpha"));
  const std::string power = "planned " + percent(found.at("power"));
  const std::string planted = "planted " + percent(found.at("effect")) + " found, sweeps ";
  return "| | rounds | confirmed | share | 95 % interval | |\n|---|---|---|---|---|---|\n" +
         row("false alarms, sweeps run", alarms.at("recorded"), level) +
         row("false alarms, sweeps drawn round by round", alarms.at("drawn_by_round"), level) +
         row("false alarms, sweeps drawn boot by boot", alarms.at("drawn_by_boot"), level) +
         row((planted + "run").c_str(), found.at("recorded"), power) +
         row((planted + "drawn round by round").c_str(), found.at("drawn_by_round"), power) +
         row((planted + "drawn boot by boot").c_str(), found.at("drawn_by_boot"), power);
}

}  // namespace nvllm::bench
