#pragma once

// What a step's kernels know of its sequences, in device memory. Filled before the first kernel of a step; kernels
// captured in a graph read the same addresses again with other contents.

#include <cstdint>

namespace nvllm::cuda {

/// One sequence's share of a step; Segment as kernels see it. A lane with token_count 0 only fills up a graph's
/// width: it touches nothing. A kernel given start == 0 takes zeros for the slot's contents and never reads them.
struct Lane {
  int first_row = 0;    ///< of its rows in the step's activations
  int token_count = 0;
  int start = 0;        ///< position of the first row
  int slot = -1;        ///< of recurrent state; -1: none
};

/// All lanes of a step, with their tables of KV blocks.
struct StepTable {
  const Lane* lanes = nullptr;            ///< device, [lane_count]
  const std::int32_t* blocks = nullptr;   ///< device, [lane_count, blocks_per_lane], in order of position
  int blocks_per_lane = 0;
  int lane_count = 0;
  const int* chunk_tokens = nullptr;      ///< device: positions that attention's items have at least, a multiple of 16; null or 0: a matter of each lane alone
};

/// One row of a step's activations.
struct StepRow {
  std::int32_t id = 0;        ///< the token
  std::int32_t position = 0;
  std::int32_t lane = -1;     ///< of the step table; -1: the row belongs to no sequence
  std::int32_t wanted = 0;    ///< row i: the row whose logits are wanted i-th
};

/// How keys and values are kept.
enum class KvFormat { kBf16, kFp8 };

/// How recurrent state is kept.
enum class StateFormat { kFloat, kBf16 };

/// A norm's gain in device memory. Null: there is no norm.
struct DeviceNorm {
  const float* gain = nullptr;
  float epsilon = 1e-6f;
  bool zero_centred = false;  ///< multiplies by 1 + gain and rounds once; else by gain, after rounding
};

}  // namespace nvllm::cuda
