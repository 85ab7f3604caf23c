#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/records/evidence.h"
#include "bench/run/noise.h"
#include "bench/run/settings.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// What one rule of the sweep can see before it is run.
struct RulePower {
  std::string name;  ///< "H1", "gate kernels"
  std::string text;
  bool required = true;  ///< whether the plan falls short where this does
  bool enough = false;
  std::optional<std::int64_t> rounds;  ///< the fewest that would do, where noise is known
};

/// What a sweep would do.
struct SweepPlan {
  std::vector<Unit> units;
  std::optional<double> seconds;  ///< where an earlier run of the machine tells
  std::string noise_source;       ///< "" where no noise is known
  std::vector<RulePower> rules;

  /// Whether some hypothesis or required gate cannot be decided.
  bool underpowered() const;
};

/// Plans: schedule, time, and for each hypothesis and gate what the rounds and questions can show.
/// A hypothesis has enough power where the smallest difference found with the sweep's chance (0.8
/// where it declares none) is within its effect: the hypothesis's own, else the sweep's kernel
/// margin, else 2 %. Where it compares mean times of kernels, or
/// quotients of geometric ones of the same leg, the noise is theirs; else that of whole steps.
///   Shapes: `measured` replaces the noise that the sweep borrows; without either nothing has
///   power.
SweepPlan plan_sweep(const Sweep& sweep, const RunSettings& settings,
                     const std::optional<NoiseFloor>& measured);

std::string plan_text(const SweepPlan& plan);

}  // namespace nvllm::bench
