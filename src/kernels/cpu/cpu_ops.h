#pragma once

// The CPU backend: BF16 activations, float sums, vectors of whatever width the processor has.
// A kernel, for profiles and legs, is one parallel region of the worker pool.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kernels/cpu/parts.h"
#include "kernels/launch_note.h"
#include "kernels/layer_weights.h"
#include "kernels/ops.h"

namespace nvllm {

/// Sizes CpuOps needs before the first weight.
struct CpuOpsOptions {
  std::int64_t threads = 1;
  std::int64_t tokens_max = 1;     ///< rows of a step
  std::int64_t positions_max = 1;  ///< of one sequence
};

/// Operations on the CPU. Every word and phrase gives the same bits for a row whatever other rows
/// the step has and however many threads there are. Not thread-safe: one engine thread calls it.
class CpuOps {
 public:
  using Real = Bf16;
  using Kv = Bf16;
  using State = float;
  using Angle = float;
  using Matrix = cpu::PackedMatrix;

  explicit CpuOps(const CpuOpsOptions& options);

  Matrix prepare(const MatrixSource& file);

  void embed(View<Bf16> out, const Matrix& table, std::span<const std::int32_t> ids);
  void rms_norm(View<Bf16> out, View<const Bf16> x, const NormWeights& norm);
  void head_norm(View<Bf16> x, std::int64_t heads, const NormWeights& norm);
  void matmul(View<Bf16> out, View<const Bf16> x, const Matrix& w, std::span<const float> bias);
  void logits(View<float> out, View<const Bf16> x, const Matrix& head);
  void add(View<Bf16> residual, View<const Bf16> x);
  void swiglu(View<Bf16> out, View<const Bf16> gate, View<const Bf16> up);
  void split_gate(View<Bf16> query, View<Bf16> gate, View<const Bf16> both, std::int64_t heads);
  void rotary_angles(View<float> cosine, View<float> sine, std::span<const Segment> segments,
                     const RotaryFrequencies& frequencies);
  void rope(View<Bf16> x, std::int64_t heads, const AttentionContext<CpuOps>& context);
  void write_kv(const AttentionContext<CpuOps>& context, View<const Bf16> keys, View<const Bf16> values);
  void paged_attention(View<Bf16> out, View<const Bf16> query, const AttentionContext<CpuOps>& context);
  void output_gate(View<Bf16> out, View<const Bf16> gate);
  void causal_conv(View<Bf16> out, View<const Bf16> x, std::span<const float> weights,
                   const DeltaContext<CpuOps>& context);
  void delta_rule(View<Bf16> out, View<const Bf16> qkv, View<const Bf16> b, View<const Bf16> a,
                  std::span<const float> a_log, std::span<const float> dt_bias,
                  const DeltaContext<CpuOps>& context);
  void gated_norm(View<Bf16> out, View<const Bf16> x, View<const Bf16> z, std::int64_t heads,
                  const NormWeights& norm);

  /// delta_rule in chunks of tokens, in another order of sums. Not one of Ops' words: the forward never
  /// says it. Allocates its scratch and is announced to no listener.
  ///   Errors: aborts on disagreeing shapes and on chunk_tokens < 1.
  void delta_rule_chunked(View<Bf16> out, View<const Bf16> qkv, View<const Bf16> b, View<const Bf16> a,
                          std::span<const float> a_log, std::span<const float> dt_bias,
                          const DeltaContext<CpuOps>& context, std::int64_t chunk_tokens);

  // Phrases (kernels/composite.h), each one region.
  void fused_attention_inputs(View<const Bf16> x, const AttentionWeights<CpuOps>& w, Scratch<CpuOps>& s);
  void decode_kernel(View<Bf16> x, const AttentionWeights<CpuOps>& w, Scratch<CpuOps>& s,
                     const AttentionContext<CpuOps>& context);
  void phase_d_mlp(View<Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s);
  void phase_e_beta(View<Bf16> x, const AttentionWeights<CpuOps>& attention,
                    const MlpWeights<CpuOps>& feed_forward, Scratch<CpuOps>& s,
                    const AttentionContext<CpuOps>& context);
  void mlp_gate_up(View<const Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s);
  void mlp_down_add(View<Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s);
  void fused_delta_inputs(View<const Bf16> x, const DeltaWeights<CpuOps>& w, Scratch<CpuOps>& s);
  void fused_delta_mix(View<Bf16> x, const DeltaWeights<CpuOps>& w, Scratch<CpuOps>& s,
                       const DeltaContext<CpuOps>& context);

  /// The layer that following kernels belong to; -1 outside the layers.
  void set_layer(std::int64_t layer) { layer_ = layer; }
  /// Hears of every region from now on; null for none. Borrowed. Set it between steps only.
  void set_listener(LaunchListener* listener) { listener_ = listener; }

  /// "AVX2", "AVX3", ...
  static std::string simd_target();
  /// Bytes a prepared matrix will occupy.
  static std::int64_t matrix_bytes(const MatrixSource& file) { return cpu::packed_bytes(file); }
  /// Bytes of scratch that the options and a widest matrix of `cols_max` columns imply.
  static std::int64_t workspace_bytes(const CpuOpsOptions& options, std::int64_t cols_max);

 private:
  template <class Body>
  void region(std::string_view operation, LaunchShape shape, Cost cost, Body&& body);
  // Stretches of phrases; called inside a region by every worker.
  void decode_stretch(View<Bf16> x, const AttentionWeights<CpuOps>& w, Scratch<CpuOps>& s,
                      const AttentionContext<CpuOps>& context, cpu::Share& share);
  void gate_up_stretch(View<const Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s, cpu::Share& share);
  void down_stretch(View<Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s, cpu::Share& share);

  CpuOpsOptions options_;
  cpu::WorkerPool pool_;
  cpu::SimdTarget target_;
  std::int64_t cols_max_ = 0;
  Buffer expanded_;  ///< [tokens_max, widest padded row] floats
  Buffer scores_;    ///< [threads, positions_max] floats
  std::int64_t layer_ = -1;
  LaunchListener* listener_ = nullptr;
};

static_assert(Ops<CpuOps>);

}  // namespace nvllm
