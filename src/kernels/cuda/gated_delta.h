#pragma once

// A Gated DeltaNet layer between its input and its output projections, on the device.
//
// Roundings are those of the CPU's words: the convolution's sum and its silu each to BF16, unit vectors in float, the
// sigmoid of b to BF16, the rule's output to BF16, and the gated norm's three times.

#include <cstdint>

#include "kernels/cuda/step_table.h"
#include "kernels/segment.h"
#include "tensor/dtype.h"

struct CUstream_st;  // cudaStream_t, so that callers need no CUDA header

namespace nvllm::cuda {

inline constexpr std::int64_t kDeltaDimMax = 128;
inline constexpr std::int64_t kDeltaTapsMax = 8;

/// What every word of a layer needs. All pointers are to device memory; the words look only at what they use.
///   Layout: the convolution's state is a ring, [slots, taps, channels]: the input at position p lies in row p % taps, so
///   that the row which a token writes is none of those that it reads, whoever else still reads them. The recurrent
///   state is [slots, value_heads, key_dim, value_dim] of the format's type.
///   Invariant: rows of q, k, v and z begin at multiples of 8 bytes (base and stride), those of both states of 16.
struct DeltaArguments {
  DeltaShape shape;  ///< key_dim and value_dim multiples of 8 up to kDeltaDimMax, taps up to kDeltaTapsMax
  const Bf16* qkv = nullptr;  ///< [rows, channels], before the convolution: heads of q, of k, of v
  int qkv_stride = 0;
  const Bf16* z = nullptr;  ///< [rows, value_heads * value_dim]
  int z_stride = 0;
  const Bf16* b = nullptr;  ///< [rows, value_heads]
  int b_stride = 0;
  const Bf16* a = nullptr;  ///< [rows, value_heads]
  int a_stride = 0;
  const float* conv_weights = nullptr;  ///< [taps, channels], the last for the current token
  const float* a_log = nullptr;         ///< [value_heads]
  const float* dt_bias = nullptr;       ///< [value_heads]
  DeviceNorm gated_norm;                ///< plain
  Bf16* conv_state = nullptr;
  void* recurrent = nullptr;
  StateFormat format = StateFormat::kFloat;
  int slot_count = 0;  ///< lanes whose slot is not in [0, slot_count) touch nothing
  StepTable step;
  Bf16* out = nullptr;  ///< [rows, value_heads * value_dim]
  int out_stride = 0;
};

/// Bytes of one slot of each state.
[[nodiscard]] std::int64_t delta_conv_bytes(const DeltaShape& shape);
[[nodiscard]] std::int64_t delta_recurrent_bytes(const DeltaShape& shape, StateFormat format);

/// Everything between the projections for lanes of one token each (or none), in one launch.
///   Reads lanes, both states and weights before the kernel ahead of it in the stream has ended, so that kernel must
///   write none of them (those before it may: they have ended). Between two layers a projection lies; where the kernel
///   ahead is this one for another token of the same sequence, say so by `follows_itself`.
///   Cost: reads and writes each lane's recurrent state once. With 128 by 128 heads and four taps by the fast kernel.
///   Errors: Error(kDevice) if the launch fails; aborts on shapes out of bounds.
///   Source: Yang et al. 2024 (Gated DeltaNet).
void delta_decode(const DeltaArguments& arguments, CUstream_st* stream, bool follows_itself = false);

/// The words of ops.h, for lanes of any number of tokens. In decode causal_conv and gated_norm give the bits of
/// delta_decode; delta_rule sums in another order than its fast kernel, in the same as its general one.
///   Shapes: conv and its out [rows, channels]; core and delta_rule's out [rows, value_heads * value_dim]. `out` of
///   the arguments is not looked at, neither is `qkv` by delta_rule.
void causal_conv(Bf16* out, int out_stride, const DeltaArguments& arguments, CUstream_st* stream);
void delta_rule(Bf16* out, int out_stride, const Bf16* conv, int conv_stride, const DeltaArguments& arguments,
                CUstream_st* stream);
void gated_norm(Bf16* out, int out_stride, const Bf16* core, int core_stride, const DeltaArguments& arguments,
                CUstream_st* stream);

/// Room for delta_prefill, from delta_prefill_scratch_bytes(). Holds nothing between calls.
struct DeltaPrefillScratch {
  void* data = nullptr;  ///< aligned to 256 bytes
  std::int64_t bytes = 0;
  int segments = 1;  ///< into how many the chunks are cut at most, by delta_segments.h's rule or another; heads of 128 by 128 alone
};

/// Grows with `tokens` and with `segments`.
[[nodiscard]] std::int64_t delta_prefill_scratch_bytes(const DeltaShape& shape, std::int64_t tokens, int segments = 1);

/// Everything between the projections for one lane of many tokens, in chunks of 64 tokens by products of matrices.
///   `lane` is what the step table on the device holds at `lane_index`. Rounds to BF16 what enters the tensor cores:
///   unit queries and keys, corrected values, W, and the state as read at the beginning of a chunk; decays, the
///   triangular inverse, sums and the state itself are floats. Bits depend on the number of segments,
///   as they do on where a prompt is cut into steps; `--deterministic` advances the state token by token and does not come here.
///   Cost: four launches, six where there are segments.
///   Errors: Error(kDevice) if a launch fails; aborts on shapes out of bounds and on too little scratch.
///   Source: Yang et al. 2024 (Gated DeltaNet): the UT transform.
void delta_prefill(const DeltaArguments& arguments, const Lane& lane, int lane_index, const DeltaPrefillScratch& scratch,
                   CUstream_st* stream);

}  // namespace nvllm::cuda
