#include "bench/leg_table.h"

#include <fmt/format.h>

namespace nvllm::bench {

bool same_tokens(const EvalResult& a, const EvalResult& b) {
  if (a.answers.size() != b.answers.size()) return false;
  for (std::size_t i = 0; i < a.answers.size(); ++i) {
    if (a.answers[i].token_ids.empty() || a.answers[i].token_ids != b.answers[i].token_ids) return false;
  }
  return true;
}

std::string leg_table(const std::vector<LegResult>& legs) {
  std::string text = fmt::format("{:<14}{:>12}{:>12}{:>34}\n", "leg", "right/total", "tokens/s",
                                 legs.empty() ? "" : "tokens identical to " + legs.front().leg);
  for (const LegResult& leg : legs) {
    const EvalResult& eval = leg.eval;
    const double rate = static_cast<double>(eval.completion_tokens()) / eval.seconds;
    text += fmt::format("{:<14}{:>12}{:>12.0f}{:>34}\n", leg.leg,
                        fmt::format("{}/{}", eval.right(), eval.answers.size()), rate,
                        same_tokens(eval, legs.front().eval) ? "yes" : "no");
    if (eval.failed() > 0) text += fmt::format("  {} requests failed\n", eval.failed());
  }
  return text;
}

}  // namespace nvllm::bench
