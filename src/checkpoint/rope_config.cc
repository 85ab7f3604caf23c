#include "checkpoint/rope_config.h"

#include <cmath>

namespace nvllm::checkpoint {

namespace {

/// The object that describes the rope: rope_scaling if it is one, else rope_parameters, else empty.
const Json& rope_object(const ConfigFields& text) {
  static const Json kEmpty = Json::object();
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const Json* value = text.find(name);
    if (value == nullptr) continue;
    if (!value->is_object()) text.refuse(name, dump_json(*value), "an object");
    return *value;
  }
  return kEmpty;
}

/// How much yarn grows attention: Peng et al. 2023, as transformers computes it.
double yarn_attention_factor(const ConfigFields& rope, double factor) {
  if (rope.find("attention_factor") != nullptr) return rope.positive("attention_factor");
  const auto grown = [factor](double scale) {
    return factor <= 1.0 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
  };
  if (rope.find("mscale") != nullptr && rope.find("mscale_all_dim") != nullptr) {
    return grown(rope.positive("mscale")) / grown(rope.positive("mscale_all_dim"));
  }
  return grown(1.0);
}

void parse_llama3(const ConfigFields& rope, RopeConfig& result) {
  result.scaling = RopeConfig::Scaling::kLlama3;
  result.factor = rope.positive("factor");
  result.low_freq_factor = rope.positive("low_freq_factor");
  result.high_freq_factor = rope.positive("high_freq_factor");
  if (result.high_freq_factor <= result.low_freq_factor) {
    rope.refuse("high_freq_factor", std::to_string(result.high_freq_factor),
                "more than low_freq_factor");
  }
}

void parse_yarn(const ConfigFields& rope, double max_positions, RopeConfig& result) {
  result.scaling = RopeConfig::Scaling::kYarn;
  result.factor = rope.find("factor") != nullptr ? rope.positive("factor")
                                                 : max_positions / result.original_positions;
  result.beta_fast = rope.positive_or("beta_fast", 32.0);
  result.beta_slow = rope.positive_or("beta_slow", 1.0);
  if (result.beta_fast <= result.beta_slow) {
    rope.refuse("beta_fast", std::to_string(result.beta_fast), "more than beta_slow");
  }
  if (!rope.flag_or("truncate", true)) rope.unsupported("truncate", "false", "true");
  result.attention_factor = yarn_attention_factor(rope, result.factor);
}

}  // namespace

RopeConfig parse_rope(const ConfigFields& text, const ModelConfig& config,
                      std::string_view file_name) {
  const Json& object = rope_object(text);
  const ConfigFields rope(object, object, file_name);
  const ConfigFields& theta_home = rope.find("rope_theta") != nullptr ? rope : text;
  RopeConfig result;
  // Llama and Qwen3 files of old left the theta out where it was the family's 10000.
  result.theta = config.family == Family::kQwen35 ? theta_home.positive("rope_theta")
                                                  : theta_home.positive_or("rope_theta", 10000.0);
  const ConfigFields& part_home = rope.find("partial_rotary_factor") != nullptr ? rope : text;
  const double part =
      part_home.positive_or("partial_rotary_factor", config.family == Family::kQwen35 ? 0.25 : 1.0);
  if (part > 1.0) part_home.refuse("partial_rotary_factor", std::to_string(part), "at most 1");
  result.rotary_dims = static_cast<std::int64_t>(static_cast<double>(config.head_dim) * part);
  if (result.rotary_dims < 2 || result.rotary_dims % 2 != 0) {
    part_home.refuse("partial_rotary_factor", std::to_string(part),
                     "an even number of head dimensions that turn");
  }
  const std::string type = rope.text_or("rope_type", rope.text_or("type", "default"));
  const auto max_positions = static_cast<double>(config.max_positions);
  if (type == "default") return result;
  result.original_positions =
      rope.positive_or("original_max_position_embeddings",
                       text.positive_or("original_max_position_embeddings", max_positions));
  if (type == "llama3") {
    parse_llama3(rope, result);
  } else if (type == "yarn") {
    parse_yarn(rope, max_positions, result);
  } else {
    rope.unsupported("rope_type", "'" + type + "'", "'default', 'llama3' and 'yarn'");
  }
  return result;
}

}  // namespace nvllm::checkpoint
