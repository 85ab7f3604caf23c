#pragma once

#include <string>
#include <vector>

#include "bench/eval.h"

namespace nvllm::bench {

/// One leg's run over the problems.
struct LegResult {
  std::string leg;
  EvalResult eval;
};

/// Whether two runs drew exactly the same tokens for every problem. False where either server did
/// not report its tokens.
bool same_tokens(const EvalResult& a, const EvalResult& b);

/// The table of `nvllm bench legs`: right of total, tokens a second, tokens identical to the first
/// leg's.
std::string leg_table(const std::vector<LegResult>& legs);

}  // namespace nvllm::bench
