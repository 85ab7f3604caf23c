// Words are regions of one part; phrases are regions of several parts with a barrier wherever a
// worker reads what another wrote. Parts that divide work alike (own_rows, or row and head) follow
// each other without one.

#include "kernels/cpu/cpu_ops.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "base/check.h"
#include "base/units.h"
#include "kernels/cpu/simd_target.h"

namespace nvllm {

namespace {

using cpu::Share;

Cost matrix_cost(std::int64_t tokens, const cpu::PackedMatrix& w) {
  return matmul_cost(tokens, w.rows, w.cols, w.bytes());
}

Cost attention_inputs_cost(std::int64_t tokens, const AttentionWeights<CpuOps>& w) {
  return matrix_cost(tokens, w.q_proj.weight) + matrix_cost(tokens, w.k_proj.weight) +
         matrix_cost(tokens, w.v_proj.weight);
}

Cost gate_up_cost(std::int64_t tokens, const MlpWeights<CpuOps>& w) {
  return matrix_cost(tokens, w.gate_proj.weight) + matrix_cost(tokens, w.up_proj.weight);
}

Cost mlp_cost(std::int64_t tokens, const MlpWeights<CpuOps>& w) {
  return gate_up_cost(tokens, w) + matrix_cost(tokens, w.down_proj.weight);
}

Cost attend_cost(const AttentionContext<CpuOps>& context) {
  Cost sum;
  for (const Segment& segment : context.segments) {
    sum = sum + attention_cost(context.shape, segment.start, segment.token_count);
  }
  return sum;
}

Cost recur_cost(const DeltaContext<CpuOps>& context) {
  Cost sum;
  for (const Segment& segment : context.segments) sum = sum + delta_rule_cost(context.shape, segment.token_count);
  return sum;
}

Cost conv_cost(const DeltaContext<CpuOps>& context) {
  Cost sum;
  for (const Segment& segment : context.segments) sum = sum + causal_conv_cost(context.shape, segment.token_count);
  return sum;
}

Cost rows_cost(std::int64_t rows, std::int64_t cols, std::int64_t reads) {
  return elementwise_cost(rows * cols, reads, 1);
}

LaunchShape matrix_shape(std::int64_t tokens, const cpu::PackedMatrix& w) { return {tokens, w.rows, w.cols}; }

/// One projection of a group that shares its input.
struct Projection {
  View<Bf16> out;
  const Linear<CpuOps>& linear;
};

/// Projects `x` by every linear of the group, expanding x again only where the format changes.
/// Needs a barrier before (x complete, `expanded` free); leaves each worker's own rows written.
void project(std::initializer_list<Projection> group, View<const Bf16> x, std::byte* expanded, Share& share) {
  const cpu::PackedMatrix* last = nullptr;
  for (const Projection& item : group) {
    const cpu::PackedMatrix& w = item.linear.weight;
    NVLLM_CHECK_EQ(w.cols, x.cols);
    NVLLM_CHECK_EQ(w.rows, item.out.cols);
    if (last == nullptr || last->format != w.format || last->padded_cols != w.padded_cols) {
      if (last != nullptr) share.barrier();
      cpu::expand_part(expanded, x, w.format, w.padded_cols, share);
      share.barrier();
    }
    cpu::multiply_part(item.out, expanded, w, item.linear.bias, share);
    last = &w;
  }
}

}  // namespace

CpuOps::CpuOps(const CpuOpsOptions& options)
    : options_(options), pool_(options.threads), target_(cpu::simd_target()),
      scores_(Buffer::host(sizeof(float) * static_cast<std::size_t>(options.threads * options.positions_max))) {}

std::string CpuOps::simd_target() { return cpu::simd_target_name(); }

std::int64_t CpuOps::workspace_bytes(const CpuOpsOptions& options, std::int64_t cols_max) {
  return 4 * (options.threads * options.positions_max +
              options.tokens_max * round_up(cols_max, cpu::kGroupCols));
}

template <class Body>
void CpuOps::region(std::string_view operation, LaunchShape shape, Cost cost, Body&& body) {
  const LaunchScope scope(listener_, {.operation = operation, .layer = layer_, .shape = shape, .cost = cost});
  pool_.run(body);
}

CpuOps::Matrix CpuOps::prepare(const MatrixSource& file) {
  Matrix packed = cpu::pack_matrix(file, target_);
  if (packed.padded_cols > cols_max_) {
    cols_max_ = packed.padded_cols;
    expanded_ = Buffer::host(sizeof(float) * static_cast<std::size_t>(options_.tokens_max * cols_max_));
  }
  return packed;
}

// ---- words ----------------------------------------------------------------------------------

void CpuOps::embed(View<Bf16> out, const Matrix& table, std::span<const std::int32_t> ids) {
  region("embed", {out.rows, out.cols}, rows_cost(out.rows, out.cols, 1),
         [&](Share& s) { cpu::embed_part(out, table, ids, s); });
}

void CpuOps::rms_norm(View<Bf16> out, View<const Bf16> x, const NormWeights& norm) {
  NVLLM_CHECK_EQ(static_cast<std::int64_t>(norm.gain.size()), x.cols);
  region("rms_norm", {x.rows, x.cols}, rows_cost(x.rows, x.cols, 1),
         [&](Share& s) { cpu::rms_norm_part(out, x, norm, s); });
}

void CpuOps::head_norm(View<Bf16> x, std::int64_t heads, const NormWeights& norm) {
  NVLLM_CHECK_EQ(static_cast<std::int64_t>(norm.gain.size()) * heads, x.cols);
  region("head_norm", {x.rows, x.cols}, rows_cost(x.rows, x.cols, 1),
         [&](Share& s) { cpu::head_norm_part(x, heads, norm, s); });
}

void CpuOps::matmul(View<Bf16> out, View<const Bf16> x, const Matrix& w, std::span<const float> bias) {
  NVLLM_CHECK_EQ(w.cols, x.cols);
  NVLLM_CHECK_EQ(w.rows, out.cols);
  std::byte* expanded = expanded_.as<std::byte>();
  region("matmul", matrix_shape(x.rows, w), matrix_cost(x.rows, w), [&](Share& s) {
    cpu::expand_part(expanded, x, w.format, w.padded_cols, s);
    s.barrier();
    cpu::multiply_part(out, expanded, w, bias, s);
  });
}

void CpuOps::logits(View<float> out, View<const Bf16> x, const Matrix& head) {
  NVLLM_CHECK_EQ(head.cols, x.cols);
  NVLLM_CHECK_EQ(head.rows, out.cols);
  std::byte* expanded = expanded_.as<std::byte>();
  region("logits", matrix_shape(x.rows, head), matrix_cost(x.rows, head), [&](Share& s) {
    cpu::expand_part(expanded, x, head.format, head.padded_cols, s);
    s.barrier();
    cpu::multiply_to_float_part(out, expanded, head, s);
  });
}

void CpuOps::add(View<Bf16> residual, View<const Bf16> x) {
  region("add", {x.rows, x.cols}, rows_cost(x.rows, x.cols, 2),
         [&](Share& s) { cpu::add_part(residual, x, cpu::own_rows(x.cols, s)); });
}

void CpuOps::swiglu(View<Bf16> out, View<const Bf16> gate, View<const Bf16> up) {
  region("swiglu", {out.rows, out.cols}, rows_cost(out.rows, out.cols, 2),
         [&](Share& s) { cpu::swiglu_part(out, gate, up, cpu::own_rows(out.cols, s)); });
}

void CpuOps::split_gate(View<Bf16> query, View<Bf16> gate, View<const Bf16> both, std::int64_t heads) {
  region("split_gate", {both.rows, both.cols}, rows_cost(both.rows, both.cols, 1),
         [&](Share& s) { cpu::split_gate_part(query, gate, both, heads, s); });
}

void CpuOps::rotary_angles(View<float> cosine, View<float> sine, std::span<const Segment> segments,
                           const RotaryFrequencies& frequencies) {
  // Not a region: the calling thread alone computes it, before the first kernel.
  const LaunchScope scope(listener_, {.operation = "rotary_angles", .kind = WorkKind::kHost});
  // Float angles and BF16 cosines: the precision the family was trained and is served with.
  for (const Segment& segment : segments) {
    for (std::int64_t i = 0; i < segment.token_count; ++i) {
      for (std::size_t j = 0; j < frequencies.inverse.size(); ++j) {
        const float angle = static_cast<float>(segment.start + i) * static_cast<float>(frequencies.inverse[j]);
        const auto magnitude = static_cast<float>(frequencies.magnitude);
        cosine.row(segment.first_row + i)[j] = round_to_bf16(std::cos(angle) * magnitude);
        sine.row(segment.first_row + i)[j] = round_to_bf16(std::sin(angle) * magnitude);
      }
    }
  }
}

void CpuOps::rope(View<Bf16> x, std::int64_t heads, const AttentionContext<CpuOps>& c) {
  region("rope", {x.rows, heads * c.shape.rotary_dims}, rows_cost(x.rows, heads * c.shape.rotary_dims, 1),
         [&](Share& s) { cpu::rope_part(x, heads, c.shape.rotary_dims, c.rotary, s); });
}

void CpuOps::write_kv(const AttentionContext<CpuOps>& c, View<const Bf16> keys, View<const Bf16> values) {
  region("write_kv", {keys.rows, 2 * keys.cols}, rows_cost(keys.rows, 2 * keys.cols, 1),
         [&](Share& s) { cpu::write_kv_part(c.cache, c.segments, keys, values, s); });
}

void CpuOps::paged_attention(View<Bf16> out, View<const Bf16> query, const AttentionContext<CpuOps>& c) {
  const LaunchShape shape{query.rows, out.cols, 2 * c.shape.kv_heads * c.shape.head_dim};
  region("paged_attention", shape, attend_cost(c), [&](Share& s) {
    float* scores = scores_.as<float>() + s.worker() * options_.positions_max;
    cpu::attention_part(out, query, c.shape, c.cache, c.segments, scores, s);
  });
}

void CpuOps::output_gate(View<Bf16> out, View<const Bf16> gate) {
  region("output_gate", {out.rows, out.cols}, rows_cost(out.rows, out.cols, 2),
         [&](Share& s) { cpu::output_gate_part(out, gate, s); });
}

void CpuOps::causal_conv(View<Bf16> out, View<const Bf16> x, std::span<const float> weights,
                         const DeltaContext<CpuOps>& c) {
  region("causal_conv", {x.rows, x.cols}, conv_cost(c),
         [&](Share& s) { cpu::conv_part(out, x, weights, c.shape, c.state, c.segments, s); });
}

void CpuOps::delta_rule(View<Bf16> out, View<const Bf16> qkv, View<const Bf16> b, View<const Bf16> a,
                        std::span<const float> a_log, std::span<const float> dt_bias,
                        const DeltaContext<CpuOps>& c) {
  region("delta_rule", {out.rows, out.cols, qkv.cols}, recur_cost(c), [&](Share& s) {
    cpu::delta_rule_part(out, {qkv, b, a, a_log, dt_bias}, c.shape, c.state, c.segments, s);
  });
}

void CpuOps::gated_norm(View<Bf16> out, View<const Bf16> x, View<const Bf16> z, std::int64_t heads,
                        const NormWeights& norm) {
  region("gated_norm", {x.rows, x.cols}, rows_cost(x.rows, x.cols, 2),
         [&](Share& s) { cpu::gated_norm_part(out, x, z, heads, norm, s); });
}

// ---- stretches of phrases -------------------------------------------------------------------

void CpuOps::decode_stretch(View<Bf16> x, const AttentionWeights<CpuOps>& w, Scratch<CpuOps>& s,
                            const AttentionContext<CpuOps>& c, Share& share) {
  const AttentionShape& shape = c.shape;
  if (w.output_gate) cpu::split_gate_part(s.query, s.gate, s.query_gate, shape.heads, share);
  if (!w.q_norm.gain.empty()) {
    cpu::head_norm_part(s.query, shape.heads, w.q_norm.view(), share);
    cpu::head_norm_part(s.key, shape.kv_heads, w.k_norm.view(), share);
  }
  cpu::rope_part(s.query, shape.heads, shape.rotary_dims, c.rotary, share);
  cpu::rope_part(s.key, shape.kv_heads, shape.rotary_dims, c.rotary, share);
  share.barrier();
  cpu::write_kv_part(c.cache, c.segments, s.key, s.value, share);
  share.barrier();
  float* scores = scores_.as<float>() + share.worker() * options_.positions_max;
  cpu::attention_part(s.attended, s.query, shape, c.cache, c.segments, scores, share);
  share.barrier();
  if (w.output_gate) {
    cpu::output_gate_part(s.attended, s.gate, share);
    share.barrier();
  }
  project({{s.projected, w.o_proj}}, s.attended, expanded_.as<std::byte>(), share);
  cpu::add_part(x, s.projected, cpu::own_rows(x.cols, share));
}

void CpuOps::gate_up_stretch(View<const Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s, Share& share) {
  cpu::rms_norm_part(s.normed, x, w.norm.view(), share);
  share.barrier();
  project({{s.mlp_gate, w.gate_proj}, {s.mlp_up, w.up_proj}}, s.normed, expanded_.as<std::byte>(), share);
  cpu::swiglu_part(s.mlp_act, s.mlp_gate, s.mlp_up, cpu::own_rows(s.mlp_act.cols, share));
}

void CpuOps::down_stretch(View<Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s, Share& share) {
  project({{s.projected, w.down_proj}}, s.mlp_act, expanded_.as<std::byte>(), share);
  cpu::add_part(x, s.projected, cpu::own_rows(x.cols, share));
}

// ---- phrases --------------------------------------------------------------------------------

void CpuOps::fused_attention_inputs(View<const Bf16> x, const AttentionWeights<CpuOps>& w, Scratch<CpuOps>& s) {
  const std::int64_t outputs = w.q_proj.weight.rows + w.k_proj.weight.rows + w.v_proj.weight.rows;
  region("attention_inputs", {x.rows, outputs, x.cols}, attention_inputs_cost(x.rows, w), [&](Share& share) {
    cpu::rms_norm_part(s.normed, x, w.input_norm.view(), share);
    share.barrier();
    project({{w.output_gate ? s.query_gate : s.query, w.q_proj}, {s.key, w.k_proj}, {s.value, w.v_proj}},
            s.normed, expanded_.as<std::byte>(), share);
  });
}

void CpuOps::decode_kernel(View<Bf16> x, const AttentionWeights<CpuOps>& w, Scratch<CpuOps>& s,
                           const AttentionContext<CpuOps>& c) {
  region("DecodeKernel", matrix_shape(x.rows, w.o_proj.weight), attend_cost(c) + matrix_cost(x.rows, w.o_proj.weight),
         [&](Share& share) { decode_stretch(x, w, s, c, share); });
}

void CpuOps::phase_d_mlp(View<Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s) {
  region("Phase_D_MLP_Kernel", matrix_shape(x.rows, w.down_proj.weight), mlp_cost(x.rows, w), [&](Share& share) {
    gate_up_stretch(x, w, s, share);
    share.barrier();
    down_stretch(x, w, s, share);
  });
}

void CpuOps::phase_e_beta(View<Bf16> x, const AttentionWeights<CpuOps>& attention,
                          const MlpWeights<CpuOps>& feed_forward, Scratch<CpuOps>& s,
                          const AttentionContext<CpuOps>& c) {
  const Cost cost =
      attend_cost(c) + matrix_cost(x.rows, attention.o_proj.weight) + mlp_cost(x.rows, feed_forward);
  region("PhaseE_Beta_Kernel", matrix_shape(x.rows, feed_forward.down_proj.weight), cost, [&](Share& share) {
    decode_stretch(x, attention, s, c, share);
    share.barrier();
    gate_up_stretch(x, feed_forward, s, share);
    share.barrier();
    down_stretch(x, feed_forward, s, share);
  });
}

void CpuOps::mlp_gate_up(View<const Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s) {
  region("mlp_gate_up", {x.rows, w.gate_proj.weight.rows + w.up_proj.weight.rows, x.cols}, gate_up_cost(x.rows, w),
         [&](Share& share) { gate_up_stretch(x, w, s, share); });
}

void CpuOps::mlp_down_add(View<Bf16> x, const MlpWeights<CpuOps>& w, Scratch<CpuOps>& s) {
  region("mlp_down_add", matrix_shape(x.rows, w.down_proj.weight), matrix_cost(x.rows, w.down_proj.weight),
         [&](Share& share) { down_stretch(x, w, s, share); });
}

void CpuOps::fused_delta_inputs(View<const Bf16> x, const DeltaWeights<CpuOps>& w, Scratch<CpuOps>& s) {
  const Cost cost = matrix_cost(x.rows, w.in_proj_qkv.weight) + matrix_cost(x.rows, w.in_proj_z.weight) +
                    matrix_cost(x.rows, w.in_proj_b.weight) + matrix_cost(x.rows, w.in_proj_a.weight);
  const std::int64_t outputs = w.in_proj_qkv.weight.rows + w.in_proj_z.weight.rows + w.in_proj_b.weight.rows +
                               w.in_proj_a.weight.rows;
  region("delta_inputs", {x.rows, outputs, x.cols}, cost, [&](Share& share) {
    cpu::rms_norm_part(s.normed, x, w.input_norm.view(), share);
    share.barrier();
    project({{s.delta_qkv, w.in_proj_qkv}, {s.delta_z, w.in_proj_z}, {s.delta_b, w.in_proj_b},
             {s.delta_a, w.in_proj_a}},
            s.normed, expanded_.as<std::byte>(), share);
  });
}

void CpuOps::fused_delta_mix(View<Bf16> x, const DeltaWeights<CpuOps>& w, Scratch<CpuOps>& s,
                             const DeltaContext<CpuOps>& c) {
  const Cost cost = conv_cost(c) + recur_cost(c) + matrix_cost(x.rows, w.out_proj.weight);
  region("delta_mix", matrix_shape(x.rows, w.out_proj.weight), cost, [&](Share& share) {
    cpu::conv_part(s.delta_conv, s.delta_qkv, w.conv, c.shape, c.state, c.segments, share);
    share.barrier();
    cpu::delta_rule_part(s.delta_core, {s.delta_conv, s.delta_b, s.delta_a, w.a_log, w.dt_bias}, c.shape,
                         c.state, c.segments, share);
    share.barrier();
    cpu::gated_norm_part(s.delta_core, s.delta_core, s.delta_z, c.shape.value_heads, w.gated_norm.view(), share);
    share.barrier();
    project({{s.projected, w.out_proj}}, s.delta_core, expanded_.as<std::byte>(), share);
    cpu::add_part(x, s.projected, cpu::own_rows(x.cols, share));
  });
}

}  // namespace nvllm
