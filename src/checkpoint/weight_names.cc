#include "checkpoint/weight_names.h"

#include <fmt/format.h>

namespace nvllm::checkpoint {

namespace {

LayerNames names_under(const std::string& layer) {
  const std::string attention = layer + "self_attn.", delta = layer + "linear_attn.";
  LayerNames names;
  names.input_norm = layer + "input_layernorm.weight";
  names.post_norm = layer + "post_attention_layernorm.weight";
  names.q_proj = attention + "q_proj";
  names.k_proj = attention + "k_proj";
  names.v_proj = attention + "v_proj";
  names.o_proj = attention + "o_proj";
  names.q_norm = attention + "q_norm.weight";
  names.k_norm = attention + "k_norm.weight";
  names.in_proj_qkv = delta + "in_proj_qkv";
  names.in_proj_z = delta + "in_proj_z";
  names.in_proj_b = delta + "in_proj_b";
  names.in_proj_a = delta + "in_proj_a";
  names.out_proj = delta + "out_proj";
  names.conv = delta + "conv1d.weight";
  names.a_log = delta + "A_log";
  names.dt_bias = delta + "dt_bias";
  names.gated_norm = delta + "norm.weight";
  names.gate_proj = layer + "mlp.gate_proj";
  names.up_proj = layer + "mlp.up_proj";
  names.down_proj = layer + "mlp.down_proj";
  return names;
}

/// Appends specs, so that a layer reads as a list.
class SpecList {
 public:
  explicit SpecList(const ModelConfig& config) : config_(config) {}
  std::vector<WeightSpec> take() { return std::move(specs_); }

  void matrix(const std::string& module, std::int64_t rows, std::int64_t cols) {
    specs_.push_back({module, WeightSpec::Role::kMatrix, {rows, cols}});
  }
  void vector(const std::string& tensor, std::vector<std::int64_t> shape) {
    specs_.push_back({tensor, WeightSpec::Role::kVector, std::move(shape)});
  }

  void full_attention(const LayerNames& names) {
    const ModelConfig& c = config_;
    const std::int64_t q_rows = c.head_count * c.head_dim, kv_rows = c.kv_head_count * c.head_dim;
    const std::int64_t q_out = c.attention_output_gate ? 2 * q_rows : q_rows;
    matrix(names.q_proj, q_out, c.hidden_size);
    matrix(names.k_proj, kv_rows, c.hidden_size);
    matrix(names.v_proj, kv_rows, c.hidden_size);
    matrix(names.o_proj, c.hidden_size, q_rows);
    if (c.attention_bias) {
      vector(LayerNames::bias(names.q_proj), {q_out});
      vector(LayerNames::bias(names.k_proj), {kv_rows});
      vector(LayerNames::bias(names.v_proj), {kv_rows});
    }
    if (c.output_bias) vector(LayerNames::bias(names.o_proj), {c.hidden_size});
    if (c.qk_norm) {
      vector(names.q_norm, {c.head_dim});
      vector(names.k_norm, {c.head_dim});
    }
  }

  void gated_delta(const LayerNames& names) {
    const ModelConfig& c = config_;
    const std::int64_t values = c.value_head_count * c.value_head_dim;
    matrix(names.in_proj_qkv, c.conv_channels(), c.hidden_size);
    matrix(names.in_proj_z, values, c.hidden_size);
    matrix(names.in_proj_b, c.value_head_count, c.hidden_size);
    matrix(names.in_proj_a, c.value_head_count, c.hidden_size);
    vector(names.conv, {c.conv_channels(), 1, c.conv_taps});
    vector(names.a_log, {c.value_head_count});
    vector(names.dt_bias, {c.value_head_count});
    vector(names.gated_norm, {c.value_head_dim});
    matrix(names.out_proj, c.hidden_size, values);
  }

  void mlp(const LayerNames& names) {
    const ModelConfig& c = config_;
    matrix(names.gate_proj, c.intermediate_size, c.hidden_size);
    matrix(names.up_proj, c.intermediate_size, c.hidden_size);
    matrix(names.down_proj, c.hidden_size, c.intermediate_size);
    if (c.mlp_bias) {
      vector(LayerNames::bias(names.gate_proj), {c.intermediate_size});
      vector(LayerNames::bias(names.up_proj), {c.intermediate_size});
      vector(LayerNames::bias(names.down_proj), {c.hidden_size});
    }
  }

  void layer(const LayerNames& names, LayerKind kind) {
    vector(names.input_norm, {config_.hidden_size});
    kind == LayerKind::kFullAttention ? full_attention(names) : gated_delta(names);
    vector(names.post_norm, {config_.hidden_size});
    mlp(names);
  }

 private:
  const ModelConfig& config_;
  std::vector<WeightSpec> specs_;
};

}  // namespace

ModelNames model_names(const ModelConfig& config) {
  return {config.tensor_prefix + "embed_tokens", config.tensor_prefix + "norm.weight", "lm_head"};
}

LayerNames layer_names(const ModelConfig& config, std::int64_t layer) {
  return names_under(fmt::format("{}layers.{}.", config.tensor_prefix, layer));
}

LayerNames mtp_layer_names(const ModelConfig&, std::int64_t layer) {
  return names_under(fmt::format("mtp.layers.{}.", layer));
}

MtpNames mtp_names() {
  return {"mtp.fc", "mtp.pre_fc_norm_embedding.weight", "mtp.pre_fc_norm_hidden.weight",
          "mtp.norm.weight"};
}

std::vector<WeightSpec> required_weights(const ModelConfig& config) {
  SpecList specs(config);
  const ModelNames model = model_names(config);
  specs.matrix(model.embedding, config.vocab_size, config.hidden_size);
  for (std::int64_t i = 0; i < config.layer_count(); ++i) {
    specs.layer(layer_names(config, i), config.layers[static_cast<std::size_t>(i)]);
  }
  specs.vector(model.final_norm, {config.hidden_size});
  if (!config.tied_head) specs.matrix(model.head, config.vocab_size, config.hidden_size);
  if (config.mtp_layer_count > 0) {
    const MtpNames mtp = mtp_names();
    specs.vector(mtp.embedding_norm, {config.hidden_size});
    specs.vector(mtp.hidden_norm, {config.hidden_size});
    specs.matrix(mtp.fc, config.hidden_size, 2 * config.hidden_size);
    for (std::int64_t i = 0; i < config.mtp_layer_count; ++i) {
      specs.layer(mtp_layer_names(config, i), LayerKind::kFullAttention);
    }
    specs.vector(mtp.final_norm, {config.hidden_size});
  }
  return specs.take();
}

}  // namespace nvllm::checkpoint
