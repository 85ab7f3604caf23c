// How often the bench is wrong:
//   bench_self_test rounds PLANTED.toml NOISE.json
//   bench_self_test results AA PLANTED NOISE.json OUT [DRAWS]
// The first prints how many rounds `plan` chooses for the planted sweep. The second reads every
// finished sweep folder below AA (one leg under two names) and PLANTED (one leg made slower),
// counts how many confirmed their hypothesis, draws DRAWS further sweeps from their boots, and
// writes OUT.json and OUT.md. Every test, interval and plan is the bench's own code.
// tools/evidence/self_test does it all.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/drawn_sweeps.h"
#include "bench/analysis/open_folder.h"
#include "bench/rules/hypothesis.h"
#include "bench/run/derive.h"
#include "bench/run/noise.h"
#include "bench/run/plan.h"
#include "bench/store/canonical_json.h"
#include "bench/store/manifest.h"

namespace {

namespace fs = std::filesystem;
using namespace nvllm;
using namespace nvllm::bench;

constexpr double kConfidence = 0.95;
constexpr std::int64_t kFileBytesMax = 64 << 20;

Json read_json(const fs::path& path) {
  return parse_json(read_file(path, kFileBytesMax), path.string(),
                    {.depth_max = 32, .nodes_max = 1'000'000});
}

/// Finished sweeps of one sweep file.
struct Recorded {
  Sweep sweep;
  std::vector<fs::path> folders;
  std::int64_t unfinished = 0;  ///< folders without a manifest: they count for nothing
  std::int64_t confirmed = 0;
  std::int64_t rounds = 0;
  BootPools pools;
  Json host;
};

/// Adds one folder: what it declared when it was measured, which has to be what its data say now.
void add_folder(const fs::path& path, Recorded& all) {
  Sweep sweep = sweep_of_folder(path);
  const EvidenceFolder folder = open_evidence(path);
  const std::string declared =
      read_json(path / "analysis/verdict.json").at("hypotheses").at(0).at("state");
  const Truth truth = decide_hypotheses(sweep, folder).at(0);
  if (declared != state_text(truth, Grade::kConfirmed)) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: declared {}, but its data say {}", path.string(), declared,
                            state_text(truth, Grade::kConfirmed)));
  }
  if (all.folders.empty()) {
    all.sweep = std::move(sweep);
    all.host = folder.provenance.value("host", Json());
    all.rounds = static_cast<std::int64_t>(folder.legs.at(0).profiles.size());
  } else if (sweep.sweep_hash != all.sweep.sweep_hash) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: of another sweep file than {}", path.string(),
                                               all.folders[0].string()));
  } else if (folder.provenance.value("host", Json()) != all.host) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: of another host than {}", path.string(), all.folders[0].string()));
  }
  all.folders.push_back(path);
  all.confirmed += truth == Truth::kTrue;
  add_boots(folder, all.pools);
}

Recorded read_recorded(const fs::path& parent) {
  Recorded all;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(parent)) {
    if (entry.is_directory()) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) {
    if (has_manifest(path)) {
      add_folder(path, all);
    } else {
      ++all.unfinished;
    }
  }
  if (all.folders.empty()) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: no finished sweep below it", parent.string()));
  }
  return all;
}

Json rate_json(Tally tally) {
  const Interval interval = clopper_pearson(tally, kConfidence);
  return Json{{"confirmed", tally.count},
              {"of", tally.trials},
              {"share", static_cast<double>(tally.count) / static_cast<double>(tally.trials)},
              {"interval", {interval.low, interval.high}}};
}

/// Both rates of one sweep file; drawn sweeps have `rounds` rounds.
Json rates_json(const Recorded& all, const BootPools& pools, std::int64_t draws,
                std::int64_t rounds) {
  const SweepHypothesis& hypothesis = all.sweep.hypotheses.at(0);
  Json json;
  json["sweep"] = all.sweep.name;
  json["sweep_hash"] = all.sweep.sweep_hash;
  json["hypothesis"] = hypothesis.rule.text;
  json["alpha"] = hypothesis.alpha;
  json["unfinished_sweeps"] = all.unfinished;
  json["recorded"] = rate_json({all.confirmed, static_cast<std::int64_t>(all.folders.size())});
  json["recorded"]["rounds"] = all.rounds;
  json["drawn"] =
      rate_json(confirmed_in_draws(all.sweep, pools, {.draws = draws, .rounds = rounds}).at(0));
  json["drawn"]["rounds"] = rounds;
  for (const auto& [leg, pool] : pools) json["drawn"]["boots"][leg] = pool.size();
  return json;
}

/// What `plan` says of the sweep's first hypothesis.
RulePower plan_of_first(const Sweep& sweep, const NoiseFloor& noise) {
  const RulePower rule = plan_sweep(sweep, run_settings(sweep, ""), noise).rules.at(0);
  if (!rule.rounds) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: no number of rounds suffices: {}", sweep.what, rule.text));
  }
  return rule;
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

std::string table(const Json& json) {
  const Json &alarms = json.at("false_alarms"), &found = json.at("detection");
  const std::string level = "declared " + percent(alarms.at("alpha"));
  const std::string power = "planned " + percent(found.at("power"));
  return "| | rounds | confirmed | share | 95 % interval | |\n|---|---|---|---|---|---|\n" +
         row("false alarms, sweeps run", alarms.at("recorded"), level) +
         row("false alarms, sweeps drawn", alarms.at("drawn"), level) +
         row("planted 3 % found, sweeps run", found.at("recorded"), power) +
         row("planted 3 % found, sweeps drawn", found.at("drawn"), power);
}

int results(const fs::path& aa, const fs::path& planted, const fs::path& noise_file,
            const std::string& out, std::int64_t draws) {
  const Recorded same = read_recorded(aa), slowed = read_recorded(planted);
  const NoiseFloor noise = read_noise_floor(noise_file);
  const RulePower plan = plan_of_first(slowed.sweep, noise);
  Json json;
  json["schema"] = "nvllm.self_test/v1";
  json["host"] = same.host;
  json["confidence"] = kConfidence;
  json["false_alarms"] = rates_json(same, without_labels(same.pools), draws, same.rounds);
  json["detection"] = rates_json(slowed, slowed.pools, draws, *plan.rounds);
  json["detection"]["planted"] = Json::object();
  for (const SweepLeg& leg : slowed.sweep.legs) json["detection"]["planted"][leg.name] = leg.env;
  json["detection"]["power"] = run_settings(slowed.sweep, "").power;
  json["detection"]["plan"] = plan.text;
  json["noise"] = read_json(noise_file);
  write_file_atomically(out + ".json", readable_json(json));
  write_file_atomically(out + ".md", table(json));
  fmt::print("{}", table(json));
  return 0;
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[0] == "rounds") {
    fmt::print("{}\n", *plan_of_first(read_sweep(words[1]), read_noise_floor(words[2])).rounds);
    return 0;
  }
  if ((words.size() == 5 || words.size() == 6) && words[0] == "results") {
    const std::int64_t draws = words.size() == 6 ? std::atoll(words[5].c_str()) : 10'000;
    if (draws >= 1) return results(words[1], words[2], words[3], words[4], draws);
  }
  fmt::print(stderr,
             "usage: bench_self_test rounds PLANTED.toml NOISE.json\n"
             "       bench_self_test results AA PLANTED NOISE.json OUT [DRAWS]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_self_test: {}\n", error.what());
    return 1;
  }
}
