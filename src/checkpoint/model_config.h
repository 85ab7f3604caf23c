#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace nvllm::checkpoint {

/// The families of config.json that nvllm computes.
enum class Family { kQwen35, kQwen3, kLlama };

/// What mixes the tokens of a layer.
enum class LayerKind { kFullAttention, kGatedDelta };

/// Rotary position embedding, normalised over the spellings that configs use.
struct RopeConfig {
  enum class Scaling { kNone, kLlama3, kYarn };
  double theta = 10000.0;
  std::int64_t rotary_dims = 0;  ///< the first dims of each head that turn
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  double original_positions = 0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;              // llama3
  double beta_fast = 32.0, beta_slow = 1.0, attention_factor = 1.0;  // yarn
};

/// Everything the forward needs to know of a model, the same for every family.
struct ModelConfig {
  Family family = Family::kLlama;
  std::string tensor_prefix;  ///< "model." or "model.language_model."
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t head_count = 0;
  std::int64_t kv_head_count = 0;
  std::int64_t head_dim = 0;
  std::vector<LayerKind> layers;
  double norm_eps = 1e-6;
  bool zero_centred_norms = false;  ///< norms scale by 1 + w (Qwen3.5)
  bool attention_output_gate = false;
  bool qk_norm = false;
  bool attention_bias = false;  ///< q, k, v biases
  bool output_bias = false;     ///< o bias
  bool mlp_bias = false;
  RopeConfig rope;
  // Gated DeltaNet; zero where no layer has it
  std::int64_t key_head_count = 0;
  std::int64_t value_head_count = 0;
  std::int64_t key_head_dim = 0;
  std::int64_t value_head_dim = 0;
  std::int64_t conv_taps = 0;
  bool tied_head =
      false;  ///< the embedding is the output head too (settled by the tensors present)
  std::int64_t mtp_layer_count = 0;
  std::int64_t max_positions = 0;
  std::string torch_dtype = "bfloat16";  ///< what Hugging Face transformers would compute in
  std::vector<std::int32_t> eos_ids;  ///< generation_config ∪ tokenizer's eos token, else config

  std::int64_t layer_count() const { return static_cast<std::int64_t>(layers.size()); }
  /// Channels of the causal convolution: all q heads, all k heads, all v heads.
  std::int64_t conv_channels() const {
    return 2 * key_head_count * key_head_dim + value_head_count * value_head_dim;
  }
};

/// Reads and checks a config.json document.
///   Errors: Error(kBadFile) naming the field, the value seen and the value wanted;
///   Error(kUnsupported)
///           for an architecture nvllm does not compute.
ModelConfig parse_model_config(const Json& config, std::string_view file_name);

/// The ids in a document's eos_token_id: absent, one id, or a list.
///   Errors: Error(kBadFile) naming the field for anything that is no id below `vocab_size`.
std::vector<std::int32_t> parse_eos_ids(const Json& document, std::int64_t vocab_size,
                                        std::string_view file_name);

/// What a config.json says about tying head and embedding: the flag, or nothing if the wrapper and
/// the text part contradict each other.
std::optional<bool> tie_flag(const Json& config);
/// Says so in a config.json, wherever it is said already.
void set_tie_flag(Json& config, bool tied);

/// The geometry of a published model, for synthetic weights: "qwen3.5-0.8b", "qwen3.5-4b",
/// "qwen3.5-27b", "llama-1b", and small ones for tests: "tiny-hybrid", "tiny-qwen3", "tiny-llama".
///   Errors: Error(kUsage) listing the known names.
ModelConfig known_shape(std::string_view name);
/// The config.json of such a geometry.
Json known_shape_config(std::string_view name);
/// The names of all known geometries.
std::vector<std::string> known_shape_names();

}  // namespace nvllm::checkpoint
