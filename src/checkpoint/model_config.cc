// One reader for four spellings of config.json. Fields that change the arithmetic are read or
// refused; fields that do not are left alone.

#include "checkpoint/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "checkpoint/config_fields.h"
#include "checkpoint/rope_config.h"

namespace nvllm::checkpoint {

namespace {

// Generous bounds that keep every product of two of them far from 2^63.
constexpr Range kWidth{1, std::int64_t{1} << 20};
constexpr Range kVocabulary{1, std::int64_t{1} << 24};
constexpr Range kHeads{1, 4096};
constexpr Range kHeadDim{2, 4096};
constexpr Range kLayers{1, 4096};
constexpr Range kPositions{1, std::int64_t{1} << 30};

struct Dispatch {
  std::string_view model_type;
  Family family;
  std::string_view prefix;
  std::array<std::string_view, 2> architectures;
};

constexpr std::array<Dispatch, 4> kDispatch = {{
    {"qwen3_5",
     Family::kQwen35,
     "model.language_model.",
     {"Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"}},
    {"qwen3_5_text", Family::kQwen35, "model.", {"Qwen3_5ForCausalLM", "Qwen3_5ForCausalLM"}},
    {"qwen3", Family::kQwen3, "model.", {"Qwen3ForCausalLM", "Qwen3ForCausalLM"}},
    {"llama", Family::kLlama, "model.", {"LlamaForCausalLM", "LlamaForCausalLM"}},
}};

constexpr std::string_view kSupported =
    "Qwen3_5ForConditionalGeneration, Qwen3_5ForCausalLM, Qwen3ForCausalLM and LlamaForCausalLM "
    "(model_type qwen3_5, qwen3_5_text, qwen3, llama)";

/// architectures[0], or empty.
std::string architecture(const Json& config, std::string_view file_name) {
  const ConfigFields fields(config, config, file_name);
  const Json* list = fields.find("architectures");
  if (list == nullptr || (list->is_array() && list->empty())) return "";
  if (!list->is_array() || !list->front().is_string()) {
    fields.refuse("architectures", dump_json(*list), "a list of class names");
  }
  return list->front().get<std::string>();
}

const Dispatch& dispatch(const Json& config, std::string_view file_name) {
  const ConfigFields fields(config, config, file_name);
  const std::string type = fields.text_or("model_type", "");
  const std::string name = architecture(config, file_name);
  if (type.empty() && name.empty()) {
    fields.refuse("model_type", "missing", "one of qwen3_5, qwen3_5_text, qwen3, llama");
  }
  for (const Dispatch& known : kDispatch) {
    const bool named = std::ranges::find(known.architectures, name) != known.architectures.end();
    if (type.empty() ? named : type == known.model_type && (named || name.empty())) return known;
  }
  for (const Dispatch& known : kDispatch) {
    if (type == known.model_type) fields.unsupported("architectures", "'" + name + "'", kSupported);
  }
  fields.unsupported(type.empty() ? "architectures" : "model_type",
                     "'" + (type.empty() ? name : type) + "'", kSupported);
}

/// The object that holds the text model's fields.
const Json& text_object(const Json& config, std::string_view file_name) {
  const auto found = config.find("text_config");
  if (found == config.end() || found->is_null()) return config;
  if (!found->is_object()) {
    ConfigFields(config, config, file_name).refuse("text_config", dump_json(*found), "an object");
  }
  return *found;
}

LayerKind layer_kind(const ConfigFields& text, const Json& name, Family family) {
  if (name == "full_attention") return LayerKind::kFullAttention;
  if (name == "linear_attention" && family == Family::kQwen35) return LayerKind::kGatedDelta;
  text.unsupported("layer_types", dump_json(name),
                   family == Family::kQwen35 ? "\"linear_attention\" and \"full_attention\""
                                             : "\"full_attention\" in this family");
}

std::vector<LayerKind> parse_layers(const ConfigFields& text, Family family) {
  const std::int64_t count = text.integer("num_hidden_layers", kLayers);
  std::vector<LayerKind> layers;
  if (const Json* list = text.find("layer_types"); list != nullptr) {
    if (!list->is_array() || static_cast<std::int64_t>(list->size()) != count) {
      text.refuse("layer_types",
                  list->is_array() ? fmt::format("a list of {}", list->size()) : dump_json(*list),
                  fmt::format("a list of {}, as num_hidden_layers says", count));
    }
    for (const Json& name : *list) layers.push_back(layer_kind(text, name, family));
    return layers;
  }
  if (family != Family::kQwen35) {
    return std::vector<LayerKind>(static_cast<std::size_t>(count), LayerKind::kFullAttention);
  }
  const std::int64_t interval = text.integer_or("full_attention_interval", kLayers, 4);
  for (std::int64_t i = 0; i < count; ++i) {
    layers.push_back((i + 1) % interval == 0 ? LayerKind::kFullAttention : LayerKind::kGatedDelta);
  }
  return layers;
}

void parse_attention(const ConfigFields& text, ModelConfig& config) {
  config.head_count = text.integer("num_attention_heads", kHeads);
  config.kv_head_count = text.integer_or("num_key_value_heads", kHeads, config.head_count);
  if (config.head_count % config.kv_head_count != 0) {
    text.refuse("num_key_value_heads", std::to_string(config.kv_head_count),
                fmt::format("a divisor of num_attention_heads ({})", config.head_count));
  }
  if (config.family == Family::kLlama && text.find("head_dim") == nullptr) {
    if (config.hidden_size % config.head_count != 0) {
      text.refuse("num_attention_heads", std::to_string(config.head_count),
                  fmt::format("a divisor of hidden_size ({}), as there is no head_dim",
                              config.hidden_size));
    }
    config.head_dim = config.hidden_size / config.head_count;
  } else {
    config.head_dim = text.integer("head_dim", kHeadDim);
  }
  if (config.head_dim % 2 != 0)
    text.refuse("head_dim", std::to_string(config.head_dim), "an even number");
  config.attention_bias = text.flag_or("attention_bias", false);
  config.output_bias = config.attention_bias;
  if (text.flag_or("use_sliding_window", false)) {
    text.unsupported("use_sliding_window", "true", "false");
  }
}

void parse_gated_delta(const ConfigFields& text, ModelConfig& config) {
  config.key_head_count = text.integer_or("linear_num_key_heads", kHeads, 16);
  config.value_head_count = text.integer_or("linear_num_value_heads", kHeads, 32);
  config.key_head_dim = text.integer_or("linear_key_head_dim", kHeadDim, 128);
  config.value_head_dim = text.integer_or("linear_value_head_dim", kHeadDim, 128);
  config.conv_taps = text.integer_or("linear_conv_kernel_dim", {2, 64}, 4);
  if (config.value_head_count % config.key_head_count != 0) {
    text.refuse("linear_num_value_heads", std::to_string(config.value_head_count),
                fmt::format("a multiple of linear_num_key_heads ({})", config.key_head_count));
  }
}

void parse_qwen35(const ConfigFields& text, ModelConfig& config) {
  config.zero_centred_norms = true;
  config.attention_output_gate = true;
  config.qk_norm = true;
  if (!text.flag_or("attn_output_gate", true))
    text.unsupported("attn_output_gate", "false", "true");
  const std::string gate = text.text_or("output_gate_type", "silu");
  if (gate != "silu" && gate != "swish") {
    text.unsupported("output_gate_type", "'" + gate + "'", "'silu' and 'swish'");
  }
  if (std::ranges::count(config.layers, LayerKind::kGatedDelta) > 0)
    parse_gated_delta(text, config);
  config.mtp_layer_count = text.integer_or("mtp_num_hidden_layers", {0, 16}, 0);
  if (text.flag_or("mtp_use_dedicated_embeddings", false)) {
    text.unsupported("mtp_use_dedicated_embeddings", "true", "false");
  }
}

std::vector<std::int32_t> parse_eos(const ConfigFields& text, std::int64_t vocab_size) {
  const Json* value = text.find("eos_token_id");
  if (value == nullptr) return {};
  const Json list = value->is_array() ? *value : Json::array({*value});
  std::vector<std::int32_t> ids;
  for (const Json& id : list) {
    // As unsigned, a negative number is far beyond any vocabulary.
    const bool good =
        id.is_number_integer() && id.get<std::uint64_t>() < static_cast<std::uint64_t>(vocab_size);
    if (!good) {
      text.refuse("eos_token_id", dump_json(id),
                  fmt::format("a token id below vocab_size ({})", vocab_size));
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

}  // namespace

std::optional<bool> tie_flag(const Json& config) {
  const auto read = [](const Json& object) -> std::optional<bool> {
    const auto found = object.find("tie_word_embeddings");
    if (found == object.end() || !found->is_boolean()) return std::nullopt;
    return found->get<bool>();
  };
  const std::optional<bool> outer = read(config);
  const auto text = config.find("text_config");
  const std::optional<bool> inner =
      text != config.end() && text->is_object() ? read(*text) : std::nullopt;
  if (outer && inner && *outer != *inner) return std::nullopt;
  return inner ? *inner : outer.value_or(false);
}

void set_tie_flag(Json& config, bool tied) {
  config["tie_word_embeddings"] = tied;
  const auto text = config.find("text_config");
  if (text != config.end() && text->is_object()) (*text)["tie_word_embeddings"] = tied;
}

std::vector<std::int32_t> parse_eos_ids(const Json& document, std::int64_t vocab_size,
                                        std::string_view file_name) {
  return parse_eos(ConfigFields(document, document, file_name), vocab_size);
}

ModelConfig parse_model_config(const Json& json, std::string_view file_name) {
  if (!json.is_object()) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: is not a JSON object", file_name));
  }
  const Dispatch& known = dispatch(json, file_name);
  const ConfigFields text(text_object(json, file_name), json, file_name);
  ModelConfig config;
  config.family = known.family;
  config.tensor_prefix = known.prefix;
  config.vocab_size = text.integer("vocab_size", kVocabulary);
  config.hidden_size = text.integer("hidden_size", kWidth);
  config.intermediate_size = text.integer("intermediate_size", kWidth);
  config.max_positions = text.integer("max_position_embeddings", kPositions);
  config.norm_eps = text.positive_or("rms_norm_eps", 1e-6);
  if (config.norm_eps >= 1.0) {
    text.refuse("rms_norm_eps", std::to_string(config.norm_eps), "a number below 1");
  }
  const std::string activation = text.text_or("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    text.unsupported("hidden_act", "'" + activation + "'", "'silu'");
  }
  config.layers = parse_layers(text, config.family);
  parse_attention(text, config);
  if (config.family == Family::kQwen35) parse_qwen35(text, config);
  if (config.family == Family::kQwen3) config.qk_norm = true;
  if (config.family == Family::kLlama) config.mlp_bias = text.flag_or("mlp_bias", false);
  config.rope = parse_rope(text, config, file_name);
  text.flag_or("tie_word_embeddings", false);  // refuses a value that is no flag
  config.tied_head = tie_flag(json).value_or(false);
  config.torch_dtype = text.text_or("dtype", text.text_or("torch_dtype", "bfloat16"));
  config.eos_ids = parse_eos(text, config.vocab_size);
  return config;
}

}  // namespace nvllm::checkpoint
