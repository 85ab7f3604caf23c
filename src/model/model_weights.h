#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/kv_scales.h"
#include "checkpoint/weight_names.h"
#include "kernels/layer_weights.h"

namespace nvllm::model {

/// One layer's weights. Exactly one of attention and delta is set.
template <class B>
struct LayerWeights {
  std::optional<AttentionWeights<B>> attention;
  std::optional<DeltaWeights<B>> delta;
  MlpWeights<B> mlp;
};

/// A model's weights in a backend's own form. The multi-token-prediction head stays in its file.
template <class B>
struct ModelWeights {
  typename B::Matrix embedding;
  std::optional<typename B::Matrix> head;  ///< absent: the embedding serves as the head
  NormParameters final_norm;
  std::vector<LayerWeights<B>> layers;
};

/// Hears after each prepared matrix how many file bytes it had.
using PrepareProgress = std::function<void(std::int64_t file_bytes)>;

/// Takes one tensor after another from the checkpoint into the backend's form.
template <Ops B>
class WeightLoader {
 public:
  WeightLoader(B& ops, const checkpoint::Checkpoint& files, PrepareProgress progress)
      : ops_(ops), files_(files), config_(files.config()), progress_(std::move(progress)) {}

  ModelWeights<B> load() {
    const checkpoint::ModelNames names = checkpoint::model_names(config_);
    ModelWeights<B> weights{.embedding = matrix(names.embedding),
                            .head = std::nullopt,
                            .final_norm = norm(names.final_norm, norm_style()),
                            .layers = {}};
    if (!config_.tied_head) weights.head = matrix(names.head);
    for (std::int64_t i = 0; i < config_.layer_count(); ++i) weights.layers.push_back(layer(i));
    return weights;
  }

 private:
  LayerWeights<B> layer(std::int64_t index) {
    const checkpoint::LayerNames n = checkpoint::layer_names(config_, index);
    LayerWeights<B> out;
    if (config_.layers[static_cast<std::size_t>(index)] == checkpoint::LayerKind::kFullAttention) {
      out.attention = attention(n);
    } else {
      out.delta = delta(n);
    }
    const bool biased = config_.mlp_bias;
    const bool attends = out.attention.has_value();
    std::vector<Linear<B>> inner = side_by_side({n.gate_proj, n.up_proj}, biased, attends ? Stacking::kAttentionGateUp : Stacking::kDeltaGateUp);
    out.mlp = {.norm = norm(n.post_norm, norm_style()),
               .gate_proj = std::move(inner[0]),
               .up_proj = std::move(inner[1]),
               .down_proj = linear(n.down_proj, biased)};
    return out;
  }

  AttentionWeights<B> attention(const checkpoint::LayerNames& n) {
    const bool biased = config_.attention_bias;
    std::vector<Linear<B>> inputs = side_by_side({n.q_proj, n.k_proj, n.v_proj}, biased, Stacking::kInputs);
    const checkpoint::KvScales scales = checkpoint::kv_scales(files_, n);
    return {.input_norm = norm(n.input_norm, norm_style()),
            .q_proj = std::move(inputs[0]),
            .k_proj = std::move(inputs[1]),
            .v_proj = std::move(inputs[2]),
            .o_proj = linear(n.o_proj, config_.output_bias),
            .q_norm = config_.qk_norm ? norm(n.q_norm, norm_style()) : NormParameters{},
            .k_norm = config_.qk_norm ? norm(n.k_norm, norm_style()) : NormParameters{},
            .output_gate = config_.attention_output_gate,
            .key_scale = scales.key,
            .value_scale = scales.value};
  }

  DeltaWeights<B> delta(const checkpoint::LayerNames& n) {
    std::vector<Linear<B>> inputs = side_by_side({n.in_proj_qkv, n.in_proj_z}, false, Stacking::kInputs);
    return {.input_norm = norm(n.input_norm, norm_style()),
            .in_proj_qkv = std::move(inputs[0]),
            .in_proj_z = std::move(inputs[1]),
            .in_proj_b = linear(n.in_proj_b, false),
            .in_proj_a = linear(n.in_proj_a, false),
            .out_proj = linear(n.out_proj, false),
            .conv = placed(taps_first(files_.vector(n.conv))),
            .a_log = placed(files_.vector(n.a_log)),
            .dt_bias = placed(files_.vector(n.dt_bias)),
            .gated_norm = norm(n.gated_norm, NormStyle::kPlain)};
  }

  NormStyle norm_style() const {
    return config_.zero_centred_norms ? NormStyle::kZeroCentred : NormStyle::kPlain;
  }

  NormParameters norm(const std::string& tensor, NormStyle style) {
    return {placed(files_.vector(tensor)), static_cast<float>(config_.norm_eps), style};
  }

  typename B::Matrix matrix(const std::string& module) {
    const MatrixSource source = files_.matrix(module);
    typename B::Matrix prepared = ops_.prepare(source);
    if (progress_) progress_(file_bytes(source));
    return prepared;
  }

  Linear<B> linear(const std::string& module, bool biased) { return {matrix(module), bias(module, biased)}; }

  FloatVector bias(const std::string& module, bool biased) {
    return biased ? placed(files_.vector(checkpoint::LayerNames::bias(module))) : FloatVector{};
  }

  /// Projections of the same input, which a backend may want to lie together.
  std::vector<Linear<B>> side_by_side(const std::vector<std::string>& modules, bool biased, Stacking use) {
    std::vector<Linear<B>> out;
    if constexpr (requires(std::vector<MatrixSource> sources) { ops_.prepare_stack(sources, use); }) {
      std::vector<MatrixSource> sources;
      for (const std::string& module : modules) sources.push_back(files_.matrix(module));
      auto prepared = ops_.prepare_stack(sources, use);
      for (std::size_t i = 0; i < modules.size(); ++i) {
        out.push_back({std::move(prepared[i]), bias(modules[i], biased)});
        if (progress_) progress_(file_bytes(sources[i]));
      }
    } else {
      for (const std::string& module : modules) out.push_back(linear(module, biased));
    }
    return out;
  }

  FloatVector placed(const std::vector<float>& values) {
    if constexpr (requires { ops_.place(values); }) {
      return ops_.place(values);
    } else {
      return values;
    }
  }

  /// The file has [channels, 1, taps]; kernels walk channels, so taps come first.
  std::vector<float> taps_first(const std::vector<float>& file) const {
    const auto taps = static_cast<std::size_t>(config_.conv_taps);
    const std::size_t channels = file.size() / taps;
    std::vector<float> out(file.size());
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t j = 0; j < taps; ++j) out[j * channels + c] = file[c * taps + j];
    }
    return out;
  }

  B& ops_;
  const checkpoint::Checkpoint& files_;
  const checkpoint::ModelConfig& config_;
  PrepareProgress progress_;
};

}  // namespace nvllm::model
