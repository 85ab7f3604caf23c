// Geometries as config.json documents, so that they pass through the same reader as files do.
// Figures are those of the published config.json files; tests hold their byte totals.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "base/error.h"
#include "checkpoint/model_config.h"

namespace nvllm::checkpoint {

namespace {

/// What differs between the members of the Qwen3.5 family.
struct HybridShape {
  std::int64_t hidden = 0, intermediate = 0, layers = 0;
  std::int64_t heads = 0, kv_heads = 0, head_dim = 256;
  std::int64_t key_heads = 16, value_heads = 16, delta_dim = 128;
  std::int64_t vocabulary = 248320, positions = 262144, eos = 248044;
  std::int64_t mtp_layers = 0;
  bool tied = true;
};

/// What differs between plain transformers.
struct DenseShape {
  std::string_view type, architecture;
  std::int64_t hidden = 0, intermediate = 0, layers = 0;
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  std::int64_t vocabulary = 0, positions = 0, eos = 0;
  double theta = 1e4, eps = 1e-6;
  bool tied = true;
};

template <class Shape>
Json common(const Shape& shape, std::string_view type, std::string_view architecture) {
  Json json;
  json["architectures"] = {architecture};
  json["model_type"] = type;
  json["dtype"] = "bfloat16";
  json["hidden_act"] = "silu";
  json["vocab_size"] = shape.vocabulary;
  json["hidden_size"] = shape.hidden;
  json["intermediate_size"] = shape.intermediate;
  json["num_hidden_layers"] = shape.layers;
  json["num_attention_heads"] = shape.heads;
  json["num_key_value_heads"] = shape.kv_heads;
  json["head_dim"] = shape.head_dim;
  json["attention_bias"] = false;
  json["max_position_embeddings"] = shape.positions;
  json["eos_token_id"] = shape.eos;
  json["tie_word_embeddings"] = shape.tied;
  return json;
}

Json hybrid(const HybridShape& shape) {
  Json json = common(shape, "qwen3_5_text", "Qwen3_5ForCausalLM");
  json["rms_norm_eps"] = 1e-6;
  json["full_attention_interval"] = 4;
  json["linear_num_key_heads"] = shape.key_heads;
  json["linear_num_value_heads"] = shape.value_heads;
  json["linear_key_head_dim"] = shape.delta_dim;
  json["linear_value_head_dim"] = shape.delta_dim;
  json["linear_conv_kernel_dim"] = 4;
  json["mtp_num_hidden_layers"] = shape.mtp_layers;
  Json& rope = json["rope_parameters"];
  rope["rope_type"] = "default";
  rope["rope_theta"] = 1e7;
  rope["partial_rotary_factor"] = 0.25;
  return json;
}

Json dense(const DenseShape& shape) {
  Json json = common(shape, shape.type, shape.architecture);
  json["rms_norm_eps"] = shape.eps;
  json["rope_theta"] = shape.theta;
  return json;
}

Json llama_1b() {
  Json json = dense({.type = "llama",
                     .architecture = "LlamaForCausalLM",
                     .hidden = 2048,
                     .intermediate = 8192,
                     .layers = 16,
                     .heads = 32,
                     .kv_heads = 8,
                     .head_dim = 64,
                     .vocabulary = 128256,
                     .positions = 131072,
                     .eos = 128001,
                     .theta = 5e5,
                     .eps = 1e-5,
                     .tied = true});
  Json& rope = json["rope_scaling"];
  rope["rope_type"] = "llama3";
  rope["factor"] = 32.0;
  rope["low_freq_factor"] = 1.0;
  rope["high_freq_factor"] = 4.0;
  rope["original_max_position_embeddings"] = 8192;
  return json;
}

Json qwen35_0_8b() {
  return hybrid({.hidden = 1024, .intermediate = 3584, .layers = 24, .heads = 8, .kv_heads = 2});
}
Json qwen35_4b() {
  return hybrid({.hidden = 2560,
                 .intermediate = 9216,
                 .layers = 32,
                 .heads = 16,
                 .kv_heads = 4,
                 .value_heads = 32});
}
Json qwen35_27b() {
  return hybrid({.hidden = 5120,
                 .intermediate = 17408,
                 .layers = 64,
                 .heads = 24,
                 .kv_heads = 4,
                 .value_heads = 48,
                 .tied = false});
}
/// Three value heads to a key head, so that a wrong head mapping shows; with a draft-token head.
Json tiny_hybrid() {
  return hybrid({.hidden = 64,
                 .intermediate = 128,
                 .layers = 4,
                 .heads = 4,
                 .kv_heads = 2,
                 .head_dim = 32,
                 .key_heads = 2,
                 .value_heads = 6,
                 .delta_dim = 32,
                 .vocabulary = 512,
                 .positions = 2048,
                 .eos = 256,
                 .mtp_layers = 1});
}
Json tiny_qwen3() {
  return dense({.type = "qwen3",
                .architecture = "Qwen3ForCausalLM",
                .hidden = 64,
                .intermediate = 160,
                .layers = 3,
                .heads = 4,
                .kv_heads = 2,
                .head_dim = 32,
                .vocabulary = 512,
                .positions = 2048,
                .eos = 256,
                .theta = 1e6,
                .tied = true});
}
Json tiny_llama() {
  return dense({.type = "llama",
                .architecture = "LlamaForCausalLM",
                .hidden = 64,
                .intermediate = 160,
                .layers = 3,
                .heads = 4,
                .kv_heads = 2,
                .head_dim = 16,
                .vocabulary = 512,
                .positions = 2048,
                .eos = 256,
                .theta = 1e4,
                .eps = 1e-5,
                .tied = false});
}

struct KnownShape {
  std::string_view name;
  Json (*make)();
};

constexpr std::array<KnownShape, 7> kKnownShapes = {{
    {"qwen3.5-0.8b", qwen35_0_8b},
    {"qwen3.5-4b", qwen35_4b},
    {"qwen3.5-27b", qwen35_27b},
    {"llama-1b", llama_1b},
    {"tiny-hybrid", tiny_hybrid},
    {"tiny-qwen3", tiny_qwen3},
    {"tiny-llama", tiny_llama},
}};

}  // namespace

std::vector<std::string> known_shape_names() {
  std::vector<std::string> names;
  for (const KnownShape& shape : kKnownShapes) names.emplace_back(shape.name);
  return names;
}

Json known_shape_config(std::string_view name) {
  for (const KnownShape& shape : kKnownShapes) {
    if (shape.name == name) return shape.make();
  }
  throw Error(ErrorKind::kUsage, fmt::format("shape '{}' is unknown, wanted one of: {}", name,
                                             fmt::join(known_shape_names(), ", ")));
}

ModelConfig known_shape(std::string_view name) {
  return parse_model_config(known_shape_config(name), fmt::format("synthetic:{}", name));
}

}  // namespace nvllm::checkpoint
