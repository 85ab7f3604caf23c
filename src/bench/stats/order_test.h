#pragma once

// "lower8 < all-beta < phaseE-off" is one claim: every adjacent gap must hold. All gaps are tested
// and all must reject (intersection-union), so the level stays alpha without correction.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bench/stats/equivalence.h"

namespace nvllm::bench {

/// How two neighbours of an order stand. A tie must be declared, with its margin.
enum class Relation { kLess, kTied };

/// The step from one leg to the next in an expected order.
struct OrderStep {
  Relation relation = Relation::kLess;
  double margin = 0.02;  ///< of a declared tie, as a share
};

/// One adjacent gap, as log(next / previous).
struct OrderGap {
  PairedSummary summary;
  Interval interval;  ///< at level 1 - 2 alpha
  double p = 1;       ///< that the step does not hold
};

struct OrderTest {
  std::vector<OrderGap> gaps;
  double p = 1;  ///< the largest of the gaps
};

struct OrderOptions {
  double alpha = 0.05;
  std::optional<double> borrowed_boot_sigma;  ///< needed for one round
};

/// Tests an order over rounds.
///   Shapes: `legs` [legs][rounds], log values in the expected order, paired by round; `steps` has
///           one element less than `legs`.
///   Errors: aborts on other shapes, or one round without borrowed noise.
[[nodiscard]] OrderTest test_order(std::span<const std::vector<double>> legs,
                                   std::span<const OrderStep> steps,
                                   const OrderOptions& options = {});

struct ResampleOptions {
  std::int64_t draws = 10'000;
  std::uint64_t seed = 42;
};

/// The share of resamples of whole rounds in which every mean is below the next one's. Pairing is
/// kept: a round is drawn with all its legs.
///   Cost:   draws x rounds x legs.
double joint_order_probability(std::span<const std::vector<double>> legs,
                               const ResampleOptions& options = {});

/// Times of two neighbouring legs, one per round.
struct GapRounds {
  std::span<const double> lower;
  std::span<const double> upper;
};

/// log(candidate gap / baseline gap) per round, for test_equivalence: "relative gaps preserved".
/// Empty where a gap is not positive, since its logarithm does not exist.
///   Shapes: four spans of one length.
std::vector<double> log_gap_ratios(const GapRounds& candidate, const GapRounds& baseline);

}  // namespace nvllm::bench
