#pragma once

// One worker's share of each word. A word is a region with one part; a phrase is a region with
// several parts and barriers between them, so both forms run the same code and give the same bits.
// Every part divides independent outputs among workers: the order of additions inside one output
// never depends on how many workers there are or how many rows a step has.
//
// Rounding: activations are BF16; sums and everything inside one word are float. Words round where
// docs/decisions/0001-one-arithmetic.md says the reference mode R0 rounds.

#include <cstdint>
#include <span>

#include "kernels/cpu/packed_matrix.h"
#include "kernels/cpu/worker_pool.h"
#include "kernels/ops.h"
#include "tensor/dtype.h"

namespace nvllm::cpu {

using Rows = View<Bf16>;
using ConstRows = View<const Bf16>;

/// Brings x into the form the kernels of a matrix format read. `expanded` holds
/// 4 bytes for each of x.rows * padded_cols and is aligned to 64. A barrier must follow before multiply_part
/// reads it.
void expand_part(std::byte* expanded, ConstRows x, PackedFormat format, std::int64_t padded_cols, Share& share);

/// Which rows of a matrix a worker owns: whole tiles, so that two matrices of equal height are
/// divided alike.
Share::Range own_rows(std::int64_t rows, const Share& share);

/// out[t, n] = round(sum_k x[t, k] W[n, k] + bias[n]) for this worker's rows n.
void multiply_part(Rows out, const std::byte* expanded, const PackedMatrix& w, std::span<const float> bias,
                   Share& share);
/// The same into floats.
void multiply_to_float_part(View<float> out, const std::byte* expanded, const PackedMatrix& w, Share& share);

void embed_part(Rows out, const PackedMatrix& table, std::span<const std::int32_t> ids, Share& share);
void rms_norm_part(Rows out, ConstRows x, const NormWeights& norm, Share& share);
/// Norms `heads` equal stretches of every row; `gate` (may be empty) then multiplies by silu(gate),
/// with the roundings of the gated norm.
void head_norm_part(Rows x, std::int64_t heads, const NormWeights& norm, Share& share);
void gated_norm_part(Rows out, ConstRows x, ConstRows z, std::int64_t heads, const NormWeights& norm, Share& share);
/// Columns [cols.begin, cols.end) only.
void add_part(Rows residual, ConstRows x, Share::Range cols);
void swiglu_part(Rows out, ConstRows gate, ConstRows up, Share::Range cols);
void split_gate_part(Rows query, Rows gate, ConstRows both, std::int64_t heads, Share& share);
void output_gate_part(Rows out, ConstRows gate, Share& share);
void rope_part(Rows x, std::int64_t heads, std::int64_t rotary_dims, const RotaryTable<float>& rotary, Share& share);
void write_kv_part(const KvCache<Bf16>& cache, std::span<const Segment> segments, ConstRows keys,
                   ConstRows values, Share& share);
/// `scores` is this worker's room for one float per position of the longest sequence.
void attention_part(Rows out, ConstRows query, const AttentionShape& shape, const KvCache<Bf16>& cache,
                    std::span<const Segment> segments, float* scores, Share& share);
void conv_part(Rows out, ConstRows x, std::span<const float> weights, const DeltaShape& shape,
               const DeltaState<Bf16, float>& state, std::span<const Segment> segments, Share& share);
/// Borrowed inputs of the delta rule.
struct DeltaInputs {
  ConstRows qkv, b, a;
  std::span<const float> a_log, dt_bias;
};
void delta_rule_part(Rows out, const DeltaInputs& in, const DeltaShape& shape,
                     const DeltaState<Bf16, float>& state, std::span<const Segment> segments, Share& share);

/// Floats of room that one worker of delta_rule_chunked_part needs.
std::int64_t delta_chunk_floats(const DeltaShape& shape, std::int64_t chunk_tokens);
/// The delta rule in chunks of `chunk_tokens` tokens, counted from the first row of each segment: equal
/// to delta_rule_part but for the order of its sums, so no phrase says it. `scratch` is this worker's
/// room. Bits do not depend on workers, nor on how tokens are cut into steps where cuts are chunk ends.
void delta_rule_chunked_part(Rows out, const DeltaInputs& in, const DeltaShape& shape,
                             const DeltaState<Bf16, float>& state, std::span<const Segment> segments,
                             std::int64_t chunk_tokens, float* scratch, Share& share);

}  // namespace nvllm::cpu
