#pragma once

// Three answers to "how long does a token take", to be reconciled (the budget closes or it does not).

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "bench/records/kernel_table.h"
#include "bench/records/question.h"

namespace nvllm::bench {

/// The reference's aggregate: sum over the named kernels of mean time x calls per decode step.
///   Units:  milliseconds per decode step; nothing where the table's decode steps are unknown.
std::optional<double> named_ms_per_step(const KernelTable& table, std::span<const std::string_view> short_names);

/// Time of all kernels over the decode steps, prefills included.
std::optional<double> kernels_ms_per_step(const KernelTable& table);

/// Least-squares slope of wall time on output tokens over the answers that ended by themselves; the
/// slope leaves out what every request pays once. Nothing below three answers or without spread.
///   Units:  milliseconds per token.
struct WallSlope {
  double ms_per_token = 0;
  double intercept_ms = 0;
  std::int64_t answers = 0;
};
std::optional<WallSlope> wall_ms_per_token(std::span<const QuestionResult> questions);

}  // namespace nvllm::bench
