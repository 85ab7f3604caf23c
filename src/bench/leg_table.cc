#include "bench/leg_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace nvllm::bench {

std::int64_t LegResult::right() const {
  return std::ranges::count_if(results, [](const QuestionResult& one) { return one.correct; });
}

std::int64_t LegResult::failed() const {
  return std::ranges::count_if(results, [](const QuestionResult& one) { return !finished(one); });
}

std::int64_t LegResult::completion_tokens() const {
  std::int64_t sum = 0;
  for (const QuestionResult& one : results) sum += one.completion_tokens;
  return sum;
}

bool same_tokens(const LegResult& a, const LegResult& b) {
  return std::ranges::equal(a.results, b.results, [](const QuestionResult& one, const QuestionResult& other) {
    return finished(one) && finished(other) && !one.token_ids_sha256.empty() &&
           one.token_ids_sha256 == other.token_ids_sha256;
  });
}

std::string leg_table(const std::vector<LegResult>& legs) {
  std::string text = fmt::format("{:<14}{:>12}{:>12}{:>34}\n", "leg", "right/total", "tokens/s",
                                 legs.empty() ? "" : "tokens identical to " + legs.front().leg);
  for (const LegResult& leg : legs) {
    const double rate = static_cast<double>(leg.completion_tokens()) / leg.seconds;
    text += fmt::format("{:<14}{:>12}{:>12.0f}{:>34}\n", leg.leg, fmt::format("{}/{}", leg.right(), leg.results.size()),
                        rate, same_tokens(leg, legs.front()) ? "yes" : "no");
    if (leg.failed() > 0) text += fmt::format("  {} requests failed\n", leg.failed());
  }
  return text;
}

}  // namespace nvllm::bench
