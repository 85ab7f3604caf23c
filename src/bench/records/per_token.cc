#include "bench/records/per_token.h"

#include <vector>

namespace nvllm::bench {

std::optional<double> named_ms_per_step(const KernelTable& table, std::span<const std::string_view> short_names) {
  if (table.decode_steps <= 0) return std::nullopt;
  double sum_us = 0;
  for (const std::string_view name : short_names) {
    for (const KernelRow* row : find_kernels(table, name)) {
      sum_us += row->mean_us * static_cast<double>(row->n_calls);
    }
  }
  return sum_us / static_cast<double>(table.decode_steps) / 1e3;
}

std::optional<double> kernels_ms_per_step(const KernelTable& table) {
  if (table.decode_steps <= 0) return std::nullopt;
  return total_ms(table) / static_cast<double>(table.decode_steps);
}

std::optional<WallSlope> wall_ms_per_token(std::span<const QuestionResult> questions) {
  constexpr std::int64_t kAnswersMin = 3;  // two points make any slope
  WallSlope fit;
  double tokens_mean = 0, wall_mean = 0;
  std::vector<const QuestionResult*> used;
  for (const QuestionResult& question : questions) {
    if (question.censored || question.finish_reason.empty() || question.completion_tokens <= 0) continue;
    used.push_back(&question);
    tokens_mean += static_cast<double>(question.completion_tokens);
    wall_mean += question.wall_time_s;
  }
  fit.answers = static_cast<std::int64_t>(used.size());
  if (fit.answers < kAnswersMin) return std::nullopt;
  tokens_mean /= static_cast<double>(fit.answers);
  wall_mean /= static_cast<double>(fit.answers);
  double across = 0, square = 0;
  for (const QuestionResult* question : used) {
    const double tokens = static_cast<double>(question->completion_tokens) - tokens_mean;
    across += tokens * (question->wall_time_s - wall_mean);
    square += tokens * tokens;
  }
  if (square <= 0) return std::nullopt;
  fit.ms_per_token = across / square * 1e3;
  fit.intercept_ms = wall_mean * 1e3 - fit.ms_per_token * tokens_mean;
  return fit;
}

}  // namespace nvllm::bench
