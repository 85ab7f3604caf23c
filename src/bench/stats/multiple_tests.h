#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nvllm::bench {

/// p-values adjusted by Holm (1979), in the order given: reject where the result is <= alpha.
///   Errors: aborts on a p outside 0..1 (NaN included).
std::vector<double> holm(std::span<const double> p_values);

/// q-values of Benjamini and Hochberg (1995), in the order given: the exploratory table's only.
///   Errors: aborts on a p outside 0..1 (NaN included).
std::vector<double> benjamini_hochberg(std::span<const double> p_values);

/// Signs of changes; ties are left out before.
struct SignCounts {
  std::int64_t positive = 0;
  std::int64_t negative = 0;
};

/// Exact two-sided sign test.
double sign_test_p(SignCounts counts);

}  // namespace nvllm::bench
