#include "checkpoint/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "checkpoint/weight_names.h"

namespace nvllm::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A known geometry with some fields replaced; a null removes the field.
Json changed(std::string_view shape, const std::string& changes) {
  Json config = known_shape_config(shape);
  const Json wanted = parse_json(changes, "changes");
  for (const auto& [key, value] : wanted.items()) {
    if (value.is_null()) {
      config.erase(key);
    } else {
      config[key] = value;
    }
  }
  return config;
}

ModelConfig parse(std::string_view shape, const std::string& changes) {
  return parse_model_config(changed(shape, changes), "config.json");
}

struct Refusal {
  const char* shape;
  const char* changes;
  const char* reason;
};

void expect_refusals(std::span<const Refusal> refusals, ErrorKind kind) {
  for (const Refusal& wanted : refusals) {
    try {
      parse(wanted.shape, wanted.changes);
      ADD_FAILURE() << "accepted: " << wanted.changes;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << wanted.changes;
      EXPECT_THAT(error.what(), HasSubstr("config.json: ")) << wanted.changes;
      EXPECT_THAT(error.what(), HasSubstr(wanted.reason)) << wanted.changes;
    }
  }
}

TEST(ModelConfig, RefusesFieldsOutOfRangeByName) {
  const Refusal refusals[] = {
      {"tiny-llama", R"({"vocab_size":null})", "'vocab_size' is missing, wanted an integer from 1"},
      {"tiny-llama", R"({"vocab_size":0})", "'vocab_size' is 0"},
      {"tiny-llama", R"({"vocab_size":-5})", "'vocab_size' is -5"},
      {"tiny-llama", R"({"vocab_size":512.0})", "'vocab_size' is 512.0"},
      {"tiny-llama", R"({"vocab_size":"512"})", "'vocab_size' is \"512\""},
      {"tiny-llama", R"({"vocab_size":true})", "'vocab_size' is true"},
      {"tiny-llama", R"({"vocab_size":18446744073709551615})",
       "'vocab_size' is 18446744073709551615"},
      {"tiny-llama", R"({"vocab_size":1e30})", "'vocab_size' is 1e+30"},
      {"tiny-llama", R"({"hidden_size":0})", "'hidden_size' is 0"},
      {"tiny-llama", R"({"hidden_size":2000000})", "'hidden_size' is 2000000"},
      {"tiny-llama", R"({"intermediate_size":[]})", "'intermediate_size' is []"},
      {"tiny-llama", R"({"num_hidden_layers":0})", "'num_hidden_layers' is 0"},
      {"tiny-llama", R"({"num_hidden_layers":1000000000})", "'num_hidden_layers' is 1000000000"},
      {"tiny-llama", R"({"num_attention_heads":null})", "'num_attention_heads' is missing"},
      {"tiny-llama", R"({"num_key_value_heads":3})",
       "'num_key_value_heads' is 3, wanted a divisor of num_attention_heads (4)"},
      {"tiny-llama", R"({"head_dim":null,"num_attention_heads":6,"num_key_value_heads":6})",
       "a divisor of hidden_size (64)"},
      {"tiny-llama", R"({"head_dim":15})", "'head_dim' is 15, wanted an even number"},
      {"tiny-qwen3", R"({"head_dim":null})", "'head_dim' is missing"},
      {"tiny-llama", R"({"max_position_embeddings":0})", "'max_position_embeddings' is 0"},
      {"tiny-llama", R"({"rms_norm_eps":0})", "'rms_norm_eps' is 0"},
      {"tiny-llama", R"({"rms_norm_eps":-1e-6})", "'rms_norm_eps' is -1e-06"},
      {"tiny-llama", R"({"rms_norm_eps":2})", "wanted a number below 1"},
      {"tiny-llama", R"({"attention_bias":1})", "'attention_bias' is 1, wanted true or false"},
      {"tiny-llama", R"({"tie_word_embeddings":"yes"})", "'tie_word_embeddings' is \"yes\""},
      {"tiny-llama", R"({"rope_theta":0})", "'rope_theta' is 0"},
      {"tiny-llama", R"({"rope_theta":"big"})", "'rope_theta' is \"big\""},
      {"tiny-llama", R"({"rope_scaling":5})", "'rope_scaling' is 5, wanted an object"},
      {"tiny-llama", R"({"rope_scaling":{"rope_type":"llama3"}})", "'factor' is missing"},
      {"tiny-llama",
       R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":1}})",
       "more than low_freq_factor"},
      {"tiny-llama", R"({"rope_scaling":{"rope_type":"yarn","factor":4,"beta_fast":1}})",
       "'beta_fast'"},
      {"tiny-llama", R"({"partial_rotary_factor":1.5})", "at most 1"},
      {"tiny-llama", R"({"partial_rotary_factor":0.01})", "an even number of head dimensions"},
      {"tiny-llama", R"({"eos_token_id":512})",
       "'eos_token_id' is 512, wanted a token id below vocab_size (512)"},
      {"tiny-llama", R"({"eos_token_id":[1,-1]})", "'eos_token_id' is -1"},
      {"tiny-llama", R"({"eos_token_id":"</s>"})", "'eos_token_id' is \"</s>\""},
      {"tiny-llama", R"({"architectures":"LlamaForCausalLM"})", "'architectures'"},
      {"tiny-llama", R"({"model_type":null,"architectures":null})", "'model_type' is missing"},
      {"tiny-hybrid", R"({"rope_parameters":{}})", "'rope_theta' is missing"},
      {"tiny-hybrid", R"({"layer_types":["full_attention"]})", "a list of 1, wanted a list of 4"},
      {"tiny-hybrid", R"({"layer_types":4})", "'layer_types' is 4"},
      {"tiny-hybrid", R"({"linear_num_value_heads":5})", "a multiple of linear_num_key_heads (2)"},
      {"tiny-hybrid", R"({"linear_conv_kernel_dim":1})", "'linear_conv_kernel_dim' is 1"},
      {"tiny-hybrid", R"({"linear_key_head_dim":0})", "'linear_key_head_dim' is 0"},
      {"tiny-hybrid", R"({"full_attention_interval":0})", "'full_attention_interval' is 0"},
      {"tiny-hybrid", R"({"mtp_num_hidden_layers":-1})", "'mtp_num_hidden_layers' is -1"},
      {"tiny-hybrid", R"({"text_config":7})", "'text_config' is 7, wanted an object"},
  };
  expect_refusals(refusals, ErrorKind::kBadFile);
}

TEST(ModelConfig, RefusesWhatItCannotCompute) {
  const Refusal refusals[] = {
      {"tiny-llama", R"({"model_type":"mamba"})", "'model_type' is 'mamba'"},
      {"tiny-llama", R"({"model_type":"qwen3_5_moe"})", "'model_type' is 'qwen3_5_moe'"},
      {"tiny-llama", R"({"architectures":["LlamaForSequenceClassification"]})",
       "'LlamaForSequenceClassification'"},
      {"tiny-llama", R"({"model_type":null,"architectures":["GPT2LMHeadModel"]})",
       "'GPT2LMHeadModel'"},
      {"tiny-llama", R"({"hidden_act":"gelu"})", "'hidden_act' is 'gelu'"},
      {"tiny-llama", R"({"rope_scaling":{"type":"linear","factor":2}})", "'rope_type' is 'linear'"},
      {"tiny-llama", R"({"rope_scaling":{"type":"dynamic","factor":2}})",
       "'rope_type' is 'dynamic'"},
      {"tiny-llama", R"({"rope_scaling":{"type":"yarn","factor":2,"truncate":false}})",
       "'truncate' is false"},
      {"tiny-qwen3", R"({"use_sliding_window":true})", "'use_sliding_window' is true"},
      {"tiny-qwen3", R"({"layer_types":["full_attention","sliding_attention","full_attention"]})",
       "'layer_types' is \"sliding_attention\""},
      {"tiny-qwen3", R"({"layer_types":["full_attention","linear_attention","full_attention"]})",
       "'layer_types'"},
      {"tiny-hybrid", R"({"attn_output_gate":false})", "'attn_output_gate' is false"},
      {"tiny-hybrid", R"({"output_gate_type":"sigmoid"})", "'output_gate_type' is 'sigmoid'"},
      {"tiny-hybrid", R"({"mtp_use_dedicated_embeddings":true})", "'mtp_use_dedicated_embeddings'"},
  };
  expect_refusals(refusals, ErrorKind::kUnsupported);
}

TEST(ModelConfig, ReadsTheTextPartOfAWrapper) {
  Json wrapper;
  wrapper["model_type"] = "qwen3_5";
  wrapper["architectures"] = {"Qwen3_5ForConditionalGeneration"};
  wrapper["text_config"] = known_shape_config("qwen3.5-27b");
  wrapper["text_config"]["model_type"] = "qwen3_5_text";
  wrapper["vision_config"] = Json::object();
  const ModelConfig config = parse_model_config(wrapper, "config.json");
  EXPECT_EQ(config.tensor_prefix, "model.language_model.");
  EXPECT_EQ(config.hidden_size, 5120);
  EXPECT_EQ(config.layer_count(), 64);
  EXPECT_EQ(config.conv_channels(), 10240);
  EXPECT_EQ(config.rope.rotary_dims, 64);
  EXPECT_EQ(config.layers[3], LayerKind::kFullAttention);
  EXPECT_EQ(config.layers[4], LayerKind::kGatedDelta);
  EXPECT_TRUE(config.zero_centred_norms && config.attention_output_gate && config.qk_norm);
}

TEST(ModelConfig, KnowsTheFamilyFromTheClassNameAlone) {
  EXPECT_EQ(parse("tiny-qwen3", R"({"model_type":null})").family, Family::kQwen3);
  EXPECT_EQ(parse("tiny-llama", R"({"architectures":null})").family, Family::kLlama);
}

TEST(ModelConfig, NormalisesTheRopeSpellings) {
  const ModelConfig llama = known_shape("llama-1b");
  EXPECT_EQ(llama.rope.scaling, RopeConfig::Scaling::kLlama3);
  EXPECT_EQ(llama.rope.theta, 5e5);
  EXPECT_EQ(llama.rope.factor, 32.0);
  EXPECT_EQ(llama.rope.original_positions, 8192.0);
  const RopeConfig nested =
      parse(
          "tiny-llama",
          R"({"rope_theta":null,"rope_parameters":{"rope_theta":7e4,"partial_rotary_factor":0.5}})")
          .rope;
  EXPECT_EQ(nested.theta, 7e4);
  EXPECT_EQ(nested.rotary_dims, 8);
  const RopeConfig yarn =
      parse("tiny-llama", R"({"rope_scaling":{"type":"yarn","factor":4.0}})").rope;
  EXPECT_EQ(yarn.scaling, RopeConfig::Scaling::kYarn);
  EXPECT_EQ(yarn.original_positions, 2048.0);
  EXPECT_DOUBLE_EQ(yarn.attention_factor, 0.1 * std::log(4.0) + 1.0);
  EXPECT_EQ(parse("tiny-llama", R"({"rope_theta":null})").rope.theta, 10000.0);
  EXPECT_EQ(parse("tiny-llama", R"({"rope_scaling":null})").rope.scaling,
            RopeConfig::Scaling::kNone);
}

TEST(ModelConfig, TakesDefaultsTheFamilyHas) {
  EXPECT_EQ(parse("tiny-llama", R"({"head_dim":null})").head_dim, 16);
  EXPECT_EQ(parse("tiny-llama", R"({"num_key_value_heads":null})").kv_head_count, 4);
  EXPECT_THAT(parse("tiny-llama", R"({"eos_token_id":[3,4]})").eos_ids, ElementsAre(3, 4));
  EXPECT_TRUE(parse("tiny-llama", R"({"eos_token_id":null})").eos_ids.empty());
  const ModelConfig biased = parse("tiny-llama", R"({"attention_bias":true,"mlp_bias":true})");
  EXPECT_TRUE(biased.attention_bias && biased.output_bias && biased.mlp_bias);
}

TEST(ModelConfig, SaysNothingOnTyingWhereTheFlagsDisagree) {
  Json wrapper;
  wrapper["tie_word_embeddings"] = true;
  EXPECT_EQ(tie_flag(wrapper), std::optional(true));
  wrapper["text_config"]["tie_word_embeddings"] = false;
  EXPECT_EQ(tie_flag(wrapper), std::nullopt);
  EXPECT_EQ(tie_flag(Json::object()), std::optional(false));
}

TEST(KnownShapes, AllParseAndAnUnknownNameListsThem) {
  for (const std::string& name : known_shape_names())
    EXPECT_GT(known_shape(name).layer_count(), 0) << name;
  try {
    known_shape("gpt-5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("qwen3.5-0.8b, qwen3.5-4b, qwen3.5-27b, llama-1b"));
  }
}

/// Bytes of all tensors in BF16, A_log and gated norm in F32, as the published files have them.
std::int64_t published_bytes(const ModelConfig& config) {
  std::int64_t total = 0;
  for (const WeightSpec& spec : required_weights(config)) {
    std::int64_t count = 1;
    for (const std::int64_t dimension : spec.shape) count *= dimension;
    const bool f32 = spec.name.ends_with("A_log") || spec.name.ends_with("linear_attn.norm.weight");
    total += count * (f32 ? 4 : 2);
  }
  return total;
}

TEST(RequiredWeights, AddUpToThePublishedFiles) {
  ModelConfig large = known_shape("qwen3.5-27b");
  EXPECT_EQ(required_weights(large).size(), 851u);
  EXPECT_EQ(published_bytes(large), 53'792'013'824);
  large.mtp_layer_count = 1;
  EXPECT_EQ(required_weights(large).size(), 851u + 15u);
  EXPECT_EQ(published_bytes(large), 53'792'013'824 + 849'398'784);
  EXPECT_EQ(published_bytes(known_shape("qwen3.5-0.8b")), 1'504'791'232);
  EXPECT_EQ(required_weights(known_shape("qwen3.5-4b")).size(), 426u);
  EXPECT_EQ(published_bytes(known_shape("qwen3.5-4b")), 8'411'510'272);
}

}  // namespace
}  // namespace nvllm::checkpoint
