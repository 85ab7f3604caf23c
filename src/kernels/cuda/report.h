#pragma once

// What is told of a chosen token: its log-probability, and the likeliest tokens of its row.

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/greedy.h"
#include "kernels/cuda/stream.h"
#include "tensor/view.h"

namespace nvllm::cuda {

inline constexpr std::int64_t kAlternativesMax = 32;

struct ReportTask {
  const std::int32_t* id = nullptr;  ///< of the chosen token; in device memory
  std::int32_t row = 0;              ///< of the logits
  std::int32_t top_count = 0;        ///< alternatives, at most kAlternativesMax
};

/// Log-probabilities are those of the softmax of all logits of the row; not a number if a logit is
/// NaN or plus infinity.
struct TokenReport {
  struct Alternative {
    std::int32_t id = -1;
    float logprob = 0;
  };
  std::int32_t id = -1;  ///< the chosen one; if it is -1, nothing else is told
  float logprob = 0;
  Alternative top[kAlternativesMax];  ///< largest logit first, equal ones in order of id; no more
                                      ///< than the vocabulary has
};

/// Tasks on their way to the device, and reports on their way back.
class ReportWorkspace {
 public:
  ReportWorkspace() = default;
  explicit ReportWorkspace(std::int64_t tasks_max);
  /// To be filled before report_tokens(), [tasks_max].
  [[nodiscard]] ReportTask* tasks() const { return host_tasks_.as<ReportTask>(); }
  /// What report_tokens() told, once the stream has been waited for, [tasks_max].
  [[nodiscard]] const TokenReport* reports() const { return host_reports_.as<TokenReport>(); }

 private:
  friend void report_tokens(View<const float> logits, const GreedyChoice* choices,
                            const ReportWorkspace& workspace, std::int64_t first,
                            std::int64_t count, CUstream_st* stream);
  PinnedBuffer host_tasks_, host_reports_;
  DeviceBuffer tasks_, reports_;
};

/// Reports for `count` tasks of the workspace from the first given. `choices` are the greedy ones
/// of every row, on the device.
///   Cost: if alternatives are asked for, one CTA a task reads its row once, and one 1024th of it
///   again for each of them, from the second-level cache.
void report_tokens(View<const float> logits, const GreedyChoice* choices,
                   const ReportWorkspace& workspace, std::int64_t first, std::int64_t count,
                   CUstream_st* stream);

}  // namespace nvllm::cuda
