#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/composite.h"
#include "model/model_weights.h"
#include "model/rotary.h"
#include "model/sequence_memory.h"
#include "model/step_input.h"
#include "tensor/buffer.h"

namespace nvllm::model {

/// How many of everything a model's pools hold.
struct PoolSizes {
  std::int64_t tokens_per_step = 0;
  std::int64_t logit_rows = 0;
  std::int64_t kv_blocks = 0;
  std::int64_t kv_block_tokens = 16;
  std::int64_t state_slots = 0;
};

/// A hybrid language model over a backend: the forward, once, for every family and every leg.
/// Owns weights, the pools of KV blocks and state slots, and the activations of a step.
template <Ops B>
class HybridModel {
 public:
  using Real = typename B::Real;

  /// Borrows the backend, which must outlive the model. Allocates everything the model will use.
  HybridModel(B& ops, const checkpoint::Checkpoint& files, FusionPlan plan, PoolSizes sizes,
              PrepareProgress progress = {})
      : ops_(ops), config_(files.config()), plan_(std::move(plan)), sizes_(sizes),
        weights_(WeightLoader<B>(ops, files, std::move(progress)).load()),
        frequencies_(rotary_frequencies(config_.rope)) {
    allocate();
  }

  /// Runs one step and returns logits [logit_rows, vocab], valid until the next call.
  View<const float> forward(const StepInput& step) {
    const auto tokens = static_cast<std::int64_t>(step.ids.size());
    NVLLM_CHECK_LE(tokens, sizes_.tokens_per_step);
    const View<Real> x = x_.first(tokens);
    Scratch<B> s = scratch_rows(tokens);
    const RotaryTable<typename B::Angle> rotary = angles(step, tokens);
    const StepPhase phase = phase_of(step);

    ops_.embed(x, weights_.embedding, step.ids);
    std::int64_t attention_index = 0, delta_index = 0;
    for (std::int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      announce(layer);
      const LayerWeights<B>& w = weights_.layers[static_cast<std::size_t>(layer)];
      if (w.attention) {
        attention_layer(ops_, plan_, phase, layer, x, *w.attention, w.mlp, s,
                        attention_context(attention_index++, step, rotary));
      } else {
        delta_layer(ops_, plan_, x, *w.delta, w.mlp, s, delta_context(delta_index++, step));
      }
    }
    announce(-1);
    return head(step, x, s);
  }

  /// Copies one sequence's recurrent and convolution state over another's, in every layer.
  void copy_slot(std::int64_t from, std::int64_t to) {
    const DeltaShape shape = delta_shape(config_);
    const std::int64_t conv = conv_elements(shape) * static_cast<std::int64_t>(sizeof(Real));
    const std::int64_t recurrent = shape.recurrent_elements() * state_element_bytes();
    for (const DeltaState<Real, typename B::State>& state : states_) {
      copy_item(state.conv, from, to, conv);
      copy_item(state.recurrent, from, to, recurrent);
    }
  }
  /// Copies one block of keys and values over another, in every layer.
  void copy_block(std::int64_t from, std::int64_t to) {
    for (const KvCache<typename B::Kv>& cache : caches_) {
      const std::int64_t bytes = cache.kv_heads * cache.block_tokens * cache.head_dim * kv_element_bytes();
      copy_item(cache.keys, from, to, bytes);
      copy_item(cache.values, from, to, bytes);
    }
  }

  const checkpoint::ModelConfig& config() const { return config_; }
  const FusionPlan& plan() const { return plan_; }

  /// Test access: overwrites one KV block or state slot in every layer with `value`; host memory only.
  void fill_block(std::int64_t block, typename B::Kv value) {
    for (KvCache<typename B::Kv>& cache : caches_) {
      const std::int64_t size = cache.kv_heads * cache.block_tokens * cache.head_dim;
      std::fill_n(cache.keys + block * size, size, value);
      std::fill_n(cache.values + block * size, size, value);
    }
  }
  void fill_slot(std::int64_t slot, Real conv, typename B::State recurrent) {
    const DeltaShape shape = delta_shape(config_);
    for (DeltaState<Real, typename B::State>& state : states_) {
      std::fill_n(state.conv + slot * shape.conv_elements(), shape.conv_elements(), conv);
      std::fill_n(state.recurrent + slot * shape.recurrent_elements(), shape.recurrent_elements(), recurrent);
    }
  }
  /// Test access: overwrites every activation between steps.
  void fill_scratch(Real value) { std::fill_n(activations_.template as<Real>(), activations_.bytes() / sizeof(Real), value); }

 private:
  View<const float> head(const StepInput& step, View<Real> x, Scratch<B>& s) {
    const auto count = static_cast<std::int64_t>(step.logit_rows.size());
    NVLLM_CHECK_LE(count, sizes_.logit_rows);
    const View<float> logits(logits_.template as<float>(), count, config_.vocab_size);
    if (count == 0) return logits;
    const auto& output = weights_.head ? *weights_.head : weights_.embedding;
    if constexpr (requires { ops_.gather_rows(s.projected, x); }) {
      View<Real> wanted = x.first(count);
      if (!ops_.wants_first_rows()) {
        wanted = s.projected.first(count);
        ops_.gather_rows(wanted, x);
      }
      ops_.fused_logits(logits, s.normed.first(count), wanted, weights_.final_norm.view(), output);
      return logits;
    }
    // Rows are gathered in place: logit rows ascend, so a row never overwrites one still wanted.
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t from = step.logit_rows[static_cast<std::size_t>(i)];
      NVLLM_CHECK_GE(from, i);
      if (from != i) std::copy_n(x.row(from), x.cols, x.row(i));
    }
    ops_.rms_norm(s.normed.first(count), x.first(count), weights_.final_norm.view());
    ops_.logits(logits, s.normed.first(count), output);
    return logits;
  }

  static StepPhase phase_of(const StepInput& step) {
    for (const Segment& segment : step.segments) {
      if (segment.token_count != 1 || segment.start == 0) return StepPhase::kMixed;
    }
    return StepPhase::kDecode;
  }

  void announce(std::int64_t layer) {
    if constexpr (requires { ops_.set_layer(layer); }) ops_.set_layer(layer);
  }

  RotaryTable<typename B::Angle> angles(const StepInput& step, std::int64_t tokens) {
    using Angle = typename B::Angle;
    const std::int64_t half = config_.rope.rotary_dims / 2;
    const View<Angle> cosine(angles_.template as<Angle>(), tokens, half);
    const View<Angle> sine(angles_.template as<Angle>() + sizes_.tokens_per_step * half, tokens, half);
    ops_.rotary_angles(cosine, sine, step.segments, frequencies_);
    return {cosine, sine};
  }

  AttentionContext<B> attention_context(std::int64_t index, const StepInput& step,
                                        const RotaryTable<typename B::Angle>& rotary) const {
    return {attention_shape(config_), step.segments, caches_[static_cast<std::size_t>(index)], rotary};
  }
  DeltaContext<B> delta_context(std::int64_t index, const StepInput& step) const {
    return {delta_shape(config_), step.segments, states_[static_cast<std::size_t>(index)]};
  }

  void allocate() {
    const checkpoint::ModelConfig& c = config_;
    angles_ = take_memory(static_cast<std::int64_t>(sizeof(typename B::Angle)) * sizes_.tokens_per_step * c.rope.rotary_dims);
    logits_ = take_memory(static_cast<std::int64_t>(sizeof(float)) * sizes_.logit_rows * c.vocab_size);
    activations_ = take_memory(static_cast<std::int64_t>(sizeof(Real)) * sizes_.tokens_per_step * scratch_elements_per_token(c));
    Real* next = activations_.template as<Real>();
    const auto take = [&](std::int64_t width) {
      const View<Real> rows(next, sizes_.tokens_per_step, width);
      next += sizes_.tokens_per_step * width;
      return rows;
    };
    const std::int64_t attention = c.head_count * c.head_dim, kv = c.kv_head_count * c.head_dim;
    const std::int64_t value = c.value_head_count * c.value_head_dim;
    x_ = take(c.hidden_size);
    scratch_ = {.normed = take(c.hidden_size), .projected = take(c.hidden_size),
                .query_gate = take(2 * attention), .query = take(attention), .gate = take(attention),
                .key = take(kv), .value = take(kv), .attended = take(attention),
                .delta_qkv = take(c.conv_channels()), .delta_conv = take(c.conv_channels()),
                .delta_z = take(value), .delta_b = take(c.value_head_count),
                .delta_a = take(c.value_head_count), .delta_core = take(value),
                .mlp_gate = take(c.intermediate_size), .mlp_up = take(c.intermediate_size),
                .mlp_act = take(c.intermediate_size)};
    NVLLM_CHECK_EQ(next - activations_.template as<Real>(),
                   sizes_.tokens_per_step * scratch_elements_per_token(c));
    allocate_pools();
  }

  void allocate_pools() {
    using checkpoint::LayerKind;
    const std::int64_t kv = sizes_.kv_blocks * config_.kv_head_count * sizes_.kv_block_tokens * config_.head_dim * kv_element_bytes();
    for (const LayerWeights<B>& layer : weights_.layers) {
      if (!layer.attention) continue;
      auto& keys = pools_.emplace_back(take_memory(kv));
      typename B::Kv* key_data = keys.template as<typename B::Kv>();
      auto& values = pools_.emplace_back(take_memory(kv));
      caches_.push_back({.keys = key_data, .values = values.template as<typename B::Kv>(),
                         .block_count = sizes_.kv_blocks, .block_tokens = sizes_.kv_block_tokens,
                         .kv_heads = config_.kv_head_count, .head_dim = config_.head_dim,
                         .key_scale = layer.attention->key_scale, .value_scale = layer.attention->value_scale});
    }
    const DeltaShape shape = delta_shape(config_);
    for (std::size_t i = 0; i < layers_of_kind(config_, LayerKind::kGatedDelta).size(); ++i) {
      auto& conv = pools_.emplace_back(take_memory(static_cast<std::int64_t>(sizeof(Real)) * sizes_.state_slots * conv_elements(shape)));
      Real* conv_data = conv.template as<Real>();
      auto& recurrent = pools_.emplace_back(take_memory(sizes_.state_slots * shape.recurrent_elements() * state_element_bytes()));
      states_.push_back({conv_data, recurrent.template as<typename B::State>(), sizes_.state_slots});
    }
  }

  /// Item `from` of an array over item `to`, where the backend computes.
  void copy_item(void* items, std::int64_t from, std::int64_t to, std::int64_t bytes) {
    auto* const base = static_cast<std::byte*>(items);
    if constexpr (requires { ops_.copy(base, base, bytes); }) {
      ops_.copy(base + to * bytes, base + from * bytes, bytes);
    } else {
      std::copy_n(base + from * bytes, bytes, base + to * bytes);
    }
  }
  /// Zeroed memory where the backend computes.
  Buffer take_memory(std::int64_t bytes) {
    if constexpr (requires(std::size_t n) { ops_.allocate(n); }) {
      return ops_.allocate(static_cast<std::size_t>(bytes));
    } else {
      return Buffer::host(static_cast<std::size_t>(bytes));
    }
  }
  // A backend may choose formats when it is made, and lay the convolution's state out in its own way.
  std::int64_t kv_element_bytes() const {
    if constexpr (requires { ops_.kv_element_bytes(); }) return ops_.kv_element_bytes();
    return static_cast<std::int64_t>(sizeof(typename B::Kv));
  }
  std::int64_t state_element_bytes() const {
    if constexpr (requires { ops_.state_element_bytes(); }) return ops_.state_element_bytes();
    return static_cast<std::int64_t>(sizeof(typename B::State));
  }
  static std::int64_t conv_elements(const DeltaShape& shape) {
    if constexpr (requires { B::conv_elements(shape); }) return B::conv_elements(shape);
    return shape.conv_elements();
  }

  Scratch<B> scratch_rows(std::int64_t n) const {
    const Scratch<B>& s = scratch_;
    return {s.normed.first(n), s.projected.first(n), s.query_gate.first(n), s.query.first(n),
            s.gate.first(n), s.key.first(n), s.value.first(n), s.attended.first(n),
            s.delta_qkv.first(n), s.delta_conv.first(n), s.delta_z.first(n), s.delta_b.first(n),
            s.delta_a.first(n), s.delta_core.first(n), s.mlp_gate.first(n), s.mlp_up.first(n),
            s.mlp_act.first(n)};
  }

  B& ops_;
  checkpoint::ModelConfig config_;
  FusionPlan plan_;
  PoolSizes sizes_;
  ModelWeights<B> weights_;
  RotaryFrequencies frequencies_;
  Buffer angles_, logits_, activations_;
  View<Real> x_;
  Scratch<B> scratch_;
  std::vector<Buffer> pools_;
  std::vector<KvCache<typename B::Kv>> caches_;
  std::vector<DeltaState<Real, typename B::State>> states_;
};

}  // namespace nvllm::model
