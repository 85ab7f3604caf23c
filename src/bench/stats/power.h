#pragma once

// What a plan of R rounds can see, computed before it is run. Exact: the normal probability is
// integrated over the distribution of the estimated scatter (no noncentral approximation).

#include <cstdint>
#include <optional>

namespace nvllm::bench {

/// A paired comparison that is planned.
struct PairedDesign {
  std::int64_t rounds = 0;
  double boot_scatter = 0;     ///< sd of one boot's log time, per arm (0.005 for 0.5 %)
  double true_difference = 0;  ///< as a share: 0.01 means the candidate is 1 % slower
  double alpha = 0.05;
};

/// The chance that two one-sided tests show equivalence within `margin` (a share).
///   Errors: aborts unless rounds >= 2, boot_scatter > 0 and margin > 0.
double tost_power(const PairedDesign& design, double margin);

/// The chance that a two-sided paired t-test at alpha finds the true difference.
///   Errors: aborts unless rounds >= 2 and boot_scatter > 0.
double difference_power(const PairedDesign& design);

/// The chance that a one-sided paired t-test at alpha rejects, for a mean of `effect` standard
/// deviations of one paired sample.
double one_sided_power(std::int64_t rounds, double effect, double alpha);

/// The fewest rounds (2 or more, at most rounds_max) that reach `wanted`; nothing where none does.
std::optional<std::int64_t> rounds_for_tost(PairedDesign design, double margin, double wanted,
                                            std::int64_t rounds_max);
std::optional<std::int64_t> rounds_for_difference(PairedDesign design, double wanted,
                                                  std::int64_t rounds_max);
std::optional<std::int64_t> rounds_for_one_sided(double effect, double alpha, double wanted,
                                                 std::int64_t rounds_max);

/// The smallest true difference, as a share, that difference_power finds with chance `wanted`.
double detectable_difference(PairedDesign design, double wanted);

}  // namespace nvllm::bench
