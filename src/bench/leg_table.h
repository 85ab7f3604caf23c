#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/records/question.h"

namespace nvllm::bench {

/// One leg's run over the problems.
struct LegResult {
  std::string leg;
  std::vector<QuestionResult> results;  ///< one for each problem, in their order
  double seconds = 0;

  std::int64_t right() const;
  std::int64_t failed() const;  ///< without an answer
  std::int64_t completion_tokens() const;
};

/// Whether two runs drew exactly the same tokens for every problem. False where either server did
/// not report its tokens.
bool same_tokens(const LegResult& a, const LegResult& b);

/// The table of `nvllm bench legs`: right of total, tokens a second, tokens identical to the first
/// leg's.
std::string leg_table(const std::vector<LegResult>& legs);

}  // namespace nvllm::bench
