#pragma once

// Full attention with a paged cache of keys and values: one kernel for steps of one token a sequence, and kernels
// for a sequence's many rows.
//   Rounding: as on the CPU backend. Normed queries and keys are BF16; rope rounds each product and each sum; keys
//   and values are used as the cache keeps them, the row's own included; scores and sums are floats, weights have at
//   least 11 bits; what is attended, sigmoid(gate) and their product are rounded to BF16.

#include <cstdint>
#include <span>

#include "kernels/cuda/device.h"
#include "kernels/cuda/step_table.h"
#include "tensor/dtype.h"

struct CUstream_st;  // cudaStream_t, so that callers need no CUDA header

namespace nvllm::cuda {

/// head_dim is 64, 128 or 256; heads a multiple of kv_heads; rotary_dims even; block_tokens a multiple of 16.
struct AttentionGeometry {
  int heads = 0, kv_heads = 0, head_dim = 0, rotary_dims = 0, block_tokens = 0;
};

inline constexpr int kAttentionGroupHeads = 8;  ///< query heads of one KV head that one item takes

/// Head groups of a model: as many items as a sequence has at the least.
[[nodiscard]] constexpr int attention_groups(const AttentionGeometry& g) {
  return g.kv_heads * ((g.heads / g.kv_heads + kAttentionGroupHeads - 1) / kAttentionGroupHeads);
}
inline constexpr int kAttentionItemsPerSequence = 132;  ///< at most, but for models of more KV heads

/// Chunks that a sequence is cut into at most.
[[nodiscard]] constexpr int attention_chunks_max(const AttentionGeometry& g) {
  const int chunks = kAttentionItemsPerSequence / attention_groups(g);
  return chunks > 1 ? chunks : 1;
}

/// How the warps of a CTA share an item's positions; both forms keep the rounding above, their bits differ.
enum class AttentionForm {
  kTiles,  ///< 16 warps take a tile together and meet twice in it: within phrases, whose products want 16 warps
  kRuns,   ///< each warp takes runs of 16 positions of its own; they meet once an item
};

/// Lanes from which attention_decode is asked for runs; for fewer, for tiles.
inline constexpr int kAttentionRunsLanes = 8;
/// The form of a step's attention_decode that need not have the same bits in steps of other widths.
[[nodiscard]] constexpr AttentionForm attention_form(std::int64_t lanes) {
  return lanes >= kAttentionRunsLanes ? AttentionForm::kRuns : AttentionForm::kTiles;
}

/// Positions that an item has at the least, where its sequence has as many. Tiles: what the warps take at a time, for the
/// last tile costs as much as a full one. Runs: two for each scheduler of a multiprocessor, so that one sequence of 4096
/// is spread over all of them.
[[nodiscard]] constexpr int attention_least_tokens(AttentionForm form, int head_dim) {
  return form == AttentionForm::kRuns || head_dim > 128 ? 128 : 256;
}

/// Positions that items of a step should have at least (StepTable::chunk_tokens) for its longest CTA to end soonest, on
/// `ctas` CTAs, for sequences of these lengths; a multiple of 16, as the cache's runs are.
///   Cost: as many divisions as sequences times attention_chunks_max; microseconds.
[[nodiscard]] int attention_chunk_tokens(const AttentionGeometry& geometry, AttentionForm form, std::span<const int> lengths, int ctas);

/// All pointers are device memory, aligned to 16 bytes as strides are to 8 elements.
struct AttentionArguments {
  AttentionGeometry geometry;
  const Bf16* query = nullptr;  ///< row r at query + r * query_stride: [heads][head_dim], or [heads][2][head_dim] with gates
  int query_stride = 0;
  const Bf16* key = nullptr;    ///< new rows, [kv_heads][head_dim] each; null: the cache has them already
  const Bf16* value = nullptr;
  int key_stride = 0, value_stride = 0;
  int has_gate = 0;             ///< out *= sigmoid(gate)
  DeviceNorm q_norm, k_norm;    ///< per head
  const float* cosine = nullptr;  ///< [rows, rotary_dims / 2] of the step's rows; null: no rope
  const float* sine = nullptr;
  void* keys = nullptr;         ///< [blocks, kv_heads, block_tokens, head_dim], as `values`
  void* values = nullptr;
  KvFormat format = KvFormat::kBf16;
  int block_count = 0;          ///< block ids outside [0, block_count) are never followed
  float key_scale = 1, value_scale = 1;  ///< FP8 keeps e4m3(x / scale)
  StepTable step;
  Bf16* out = nullptr;          ///< [rows, heads * head_dim]
  int out_stride = 0;
};

/// What sequences of a step that are cut into pieces of positions leave for each other. One per stream; zeroed once,
/// left ready by every launch.
class AttentionWorkspace {
 public:
  AttentionWorkspace() = default;
  AttentionWorkspace(const AttentionGeometry& geometry, int lanes);
  [[nodiscard]] void* partials() const { return partials_.as<void>(); }
  [[nodiscard]] void* statistics() const { return statistics_.as<void>(); }
  [[nodiscard]] unsigned* arrivals() const { return arrivals_.as<unsigned>(); }
  [[nodiscard]] int lanes() const { return lanes_; }

 private:
  DeviceBuffer partials_, statistics_, arrivals_;
  int lanes_ = 0;
};

/// Norms, rope, the cache write and attention of a step in which every lane has one token or none.
///   Cost: one launch; reads each sequence's keys and values once. A sequence's bits depend on itself and the form alone,
///   unless the step gives chunk_tokens.
///   Errors: Error(kDevice) if the launch fails; aborts on a geometry that it does not know.
void attention_decode(const AttentionArguments& arguments, AttentionForm form, const AttentionWorkspace& workspace, CUstream_st* stream);

/// The same for the rows of one sequence, `lane`, whose table of blocks is row `lane_index` of the step's.
///   Cost: two launches: the cache write, and attention by tensor cores, which reads the cache once per 64 rows.
void attention_prefill(const AttentionArguments& arguments, const Lane& lane, int lane_index, CUstream_st* stream);

}  // namespace nvllm::cuda
