#pragma once

#include <string>

#include "bench/run/derive.h"

namespace nvllm::bench {

/// The table that a sweep ends with: calls per decode step, time per token, right answers, whether
/// tokens are the same as in the first leg; then lines on the baseline.
std::string leg_summary(const Sweep& sweep, const Derivation& derived);

}  // namespace nvllm::bench
