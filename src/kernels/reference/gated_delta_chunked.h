#pragma once

// The gated delta rule in chunks of tokens: products of matrices instead of one state update per token,
// which is what a GPU's prefill wants. It sums in another order than the recurrence, so it is no word of
// Ops and the forward on the CPU never says it (docs/decisions/0001-one-arithmetic.md).

#include <cstdint>
#include <span>

#include "kernels/reference/reference_ops.h"

namespace nvllm {

/// What ReferenceOps::delta_rule computes, `chunk_tokens` tokens of a segment at a time; chunks are
/// counted from the first row of each segment, the last one may be shorter.
///   Shapes: as delta_rule: out [tokens, value_heads * value_dim]; qkv [tokens, channels];
///   b, a [tokens, value_heads]; a_log, dt_bias [value_heads].
///   Cost: multiplications per chunk of C tokens and value head: C² (1.5 key_dim + value_dim) +
///   3 C key_dim value_dim, and one pass over the state; the recurrence has 4 C key_dim value_dim, and C.
///   Errors: aborts on disagreeing shapes and on chunk_tokens < 1.
///   Source: Yang et al. 2024 (Gated DeltaNet): the UT transform.
void delta_rule_chunked(View<double> out, View<const double> qkv, View<const double> b, View<const double> a,
                        std::span<const float> a_log, std::span<const float> dt_bias,
                        const DeltaContext<ReferenceOps>& context, std::int64_t chunk_tokens);

}  // namespace nvllm
