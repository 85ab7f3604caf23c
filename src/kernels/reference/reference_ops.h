#pragma once

// The oracle: every word in scalar double precision, without intermediate rounding and without
// cleverness. It is a whole backend, so any model can be run through it.

#include <cstdint>
#include <vector>

#include "kernels/launch_note.h"
#include "kernels/ops.h"

namespace nvllm {

/// Scalar double-precision operations. Never rounds between operations; weights are the values their
/// number format defines.
class ReferenceOps {
 public:
  using Real = double;
  using Kv = double;
  using State = double;
  using Angle = double;
  struct Matrix {
    std::int64_t rows = 0, cols = 0;
    std::vector<float> values;  ///< row-major, dequantised
  };

  Matrix prepare(const MatrixSource& file);
  void embed(View<double> out, const Matrix& table, std::span<const std::int32_t> ids);
  void rms_norm(View<double> out, View<const double> x, const NormWeights& norm);
  void head_norm(View<double> x, std::int64_t heads, const NormWeights& norm);
  void matmul(View<double> out, View<const double> x, const Matrix& w, std::span<const float> bias);
  void logits(View<float> out, View<const double> x, const Matrix& head);
  void add(View<double> residual, View<const double> x);
  void swiglu(View<double> out, View<const double> gate, View<const double> up);
  void split_gate(View<double> query, View<double> gate, View<const double> both, std::int64_t heads);
  void rotary_angles(View<double> cosine, View<double> sine, std::span<const Segment> segments,
                     const RotaryFrequencies& frequencies);
  void rope(View<double> x, std::int64_t heads, const AttentionContext<ReferenceOps>& context);
  void write_kv(const AttentionContext<ReferenceOps>& context, View<const double> keys,
                View<const double> values);
  void paged_attention(View<double> out, View<const double> query,
                       const AttentionContext<ReferenceOps>& context);
  void output_gate(View<double> out, View<const double> gate);
  void causal_conv(View<double> out, View<const double> x, std::span<const float> weights,
                   const DeltaContext<ReferenceOps>& context);
  void delta_rule(View<double> out, View<const double> qkv, View<const double> b, View<const double> a,
                  std::span<const float> a_log, std::span<const float> dt_bias,
                  const DeltaContext<ReferenceOps>& context);
  void gated_norm(View<double> out, View<const double> x, View<const double> z, std::int64_t heads,
                  const NormWeights& norm);

  /// The layer that following words belong to; -1 outside the layers.
  void set_layer(std::int64_t layer) { layer_ = layer; }
  /// Hears of every word from now on, without a cost: what the oracle moves is no one's measure. Null for
  /// none. Borrowed. Set it between steps only.
  void set_listener(LaunchListener* listener) { listener_ = listener; }

  /// Bytes of a prepared matrix in memory.
  static std::int64_t matrix_bytes(const MatrixSource& file) { return file.rows * file.cols * 4; }

 private:
  LaunchScope announce(std::string_view operation, LaunchShape shape, WorkKind kind = WorkKind::kKernel) const {
    return LaunchScope(listener_, {.operation = operation, .layer = layer_, .shape = shape, .kind = kind});
  }

  std::int64_t layer_ = -1;
  LaunchListener* listener_ = nullptr;
};

static_assert(Ops<ReferenceOps>);

}  // namespace nvllm
