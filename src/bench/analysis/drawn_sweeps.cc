#include "bench/analysis/drawn_sweeps.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/hashing.h"
#include "bench/analysis/aggregate.h"
#include "bench/analysis/folder_facts.h"

namespace nvllm::bench {

namespace {

/// Draws one after the other from one stream of random numbers.
class SweepDrawer {
 public:
  SweepDrawer(const Sweep& sweep, const BootPools& pools, const DrawOptions& options)
      : sweep_(sweep), pools_(pools), options_(options) {}

  EvidenceFolder draw() {
    EvidenceFolder folder;
    for (const SweepLeg& leg : sweep_.legs) folder.legs.emplace_back().leg = leg.name;
    std::vector<std::string> sources;
    for (const SweepLeg& leg : sweep_.legs) sources.push_back(leg.name);
    for (std::int64_t round = 1; round <= options_.rounds; ++round) {
      if (options_.unit == DrawUnit::kShuffledRound) shuffle(sources);
      const std::size_t shared = next_below(pools_.at(sources.front()).size());
      for (std::size_t i = 0; i < sources.size(); ++i) {
        const std::vector<KernelTable>& pool = pools_.at(sources[i]);
        const bool alone = options_.unit == DrawUnit::kBoot;
        KernelTable& table = folder.legs[i].profiles.emplace_back(pool[alone ? next_below(pool.size()) : shared]);
        table.leg = folder.legs[i].leg;
        table.round = round;
      }
    }
    return folder;
  }

 private:
  void shuffle(std::vector<std::string>& names) {
    for (std::size_t i = names.size(); i > 1; --i) std::swap(names[i - 1], names[next_below(i)]);
  }
  std::size_t next_below(std::size_t count) {
    return static_cast<std::size_t>(random_uniform(options_.seed, counter_++) *
                                    static_cast<double>(count));
  }

  const Sweep& sweep_;
  const BootPools& pools_;
  const DrawOptions& options_;
  std::uint64_t counter_ = 0;
};

}  // namespace

std::vector<Truth> decide_hypotheses(const Sweep& sweep, const EvidenceFolder& folder) {
  std::vector<Truth> truths;
  for (const HypothesisResult& one :
       test_hypotheses(sweep, folder, aggregate(sweep, {}, folder)).hypotheses) {
    truths.push_back(one.truth);
  }
  return truths;
}

void add_boots(const EvidenceFolder& folder, BootPools& pools) {
  for (const LegEvidence& leg : folder.legs) {
    std::vector<KernelTable>& pool = pools[leg.leg];
    pool.insert(pool.end(), leg.profiles.begin(), leg.profiles.end());
  }
}

BootPools without_labels(const BootPools& pools) {
  std::vector<KernelTable> all;
  for (const auto& [leg, pool] : pools) all.insert(all.end(), pool.begin(), pool.end());
  BootPools mixed;
  for (const auto& [leg, pool] : pools) mixed[leg] = all;
  return mixed;
}

std::vector<Tally> confirmed_in_draws(const Sweep& sweep, const BootPools& pools,
                                      const DrawOptions& options) {
  NVLLM_CHECK_GE(options.draws, 1);
  NVLLM_CHECK_GE(options.rounds, 2);
  for (const SweepLeg& leg : sweep.legs) {
    const auto pool = pools.find(leg.name);
    if (pool == pools.end() || pool->second.empty()) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("leg {} has no recorded boots to draw from", leg.name));
    }
    const std::size_t first = pools.at(sweep.legs.front().name).size();
    if (options.unit != DrawUnit::kBoot && pool->second.size() != first) {
      throw Error(ErrorKind::kUsage, fmt::format("leg {} has {} recorded boots, leg {} {}: no rounds to draw", leg.name,
                                                 pool->second.size(), sweep.legs.front().name, first));
    }
  }
  std::vector<Tally> tallies(sweep.hypotheses.size(), Tally{.count = 0, .trials = options.draws});
  SweepDrawer drawer(sweep, pools, options);
  for (std::int64_t draw = 0; draw < options.draws; ++draw) {
    const std::vector<Truth> truths = decide_hypotheses(sweep, drawer.draw());
    for (std::size_t i = 0; i < truths.size(); ++i) tallies[i].count += truths[i] == Truth::kTrue;
  }
  return tallies;
}

}  // namespace nvllm::bench
