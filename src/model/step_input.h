#pragma once

#include <cstdint>
#include <span>

#include "kernels/segment.h"

namespace nvllm::model {

/// What one forward computes: the rows of several sequences, back to back.
struct StepInput {
  std::span<const std::int32_t> ids;         ///< [tokens]
  std::span<const Segment> segments;         ///< cover rows 0 … tokens-1 in order
  std::span<const std::int64_t> logit_rows;  ///< rows whose logits are wanted
};

}  // namespace nvllm::model
