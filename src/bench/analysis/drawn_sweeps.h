#pragma once

// How often the bench itself is wrong: the hypotheses of a sweep in a folder that was recorded, and
// in sweeps that nobody ran, drawn from recorded boots. Both go through the code that judges a real
// sweep.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/records/evidence.h"
#include "bench/rules/truth.h"
#include "bench/stats/distributions.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// What the sweep's hypotheses come to in a folder, in the sweep's order, decided as one family.
std::vector<Truth> decide_hypotheses(const Sweep& sweep, const EvidenceFolder& folder);

/// The profiled boots that each leg's are drawn from, in the order of folders and rounds.
using BootPools = std::map<std::string, std::vector<KernelTable>>;

/// Adds a folder's boots to the pools of their legs.
void add_boots(const EvidenceFolder& folder, BootPools& pools);

/// Pools in which every leg has the boots of all: whatever differs between drawn legs is noise.
BootPools without_labels(const BootPools& pools);

/// What is drawn at once. A real sweep holds the boots of one round against each other, and what the machine
/// did meanwhile is in both: drawn one by one, they share nothing.
enum class DrawUnit {
  kBoot,
  kRound,          ///< the boots that all legs had in one recorded round
  kShuffledRound,  ///< the same, with the legs' names dealt anew: whatever differs is noise
};

struct DrawOptions {
  DrawUnit unit = DrawUnit::kBoot;
  std::int64_t draws = 10'000;
  std::int64_t rounds = 6;  ///< of a drawn sweep
  std::uint64_t seed = 42;
};

/// How often each hypothesis is CONFIRMED in drawn sweeps, whose boots or rounds are drawn, with
/// replacement, from the legs' pools. The same options give the same counts.
///   Shapes: one tally per hypothesis, in the sweep's order; trials = draws.
///   Cost:   copies draws x rounds x legs kernel tables.
///   Errors: Error(kUsage) for a leg without boots, and where rounds are to be drawn and legs have unlike
///           many.
std::vector<Tally> confirmed_in_draws(const Sweep& sweep, const BootPools& pools,
                                      const DrawOptions& options = {});

}  // namespace nvllm::bench
