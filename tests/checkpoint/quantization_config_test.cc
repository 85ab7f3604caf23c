#include "checkpoint/quantization_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/inspection.h"
#include "support/tiny_checkpoint.h"

namespace nvllm::checkpoint {
namespace {

using ::nvllm::testing::f32_bytes;
using ::nvllm::testing::SafetensorsBuilder;
using ::nvllm::testing::TinyCheckpoint;
using ::nvllm::testing::TinyFormat;
using ::nvllm::testing::write_text;
using ::testing::HasSubstr;

/// Opens a folder; the message if that is refused.
std::string refusal(const std::string& folder) {
  try {
    static_cast<void>(Checkpoint::open(folder));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

/// A tiny checkpoint in ModelOpt's NVFP4 layout without activation scales, whose documents say what a
/// test wants them to.
class QuantizationClaims : public ::testing::Test {
 protected:
  QuantizationClaims() : tiny_("tiny-llama", TinyFormat::kNvfp4), config_(tiny_.config()) {
    config_.erase("quantization_config");
    std::filesystem::remove(tiny_.file("hf_quant_config.json"));
  }
  std::string refused() {
    tiny_.save_config(config_);
    return refusal(tiny_.folder());
  }
  static Json json(const char* text) { return parse_json(text, "claim"); }
  void claim_beside(const char* text) { write_text(tiny_.file("hf_quant_config.json"), text); }

  TinyCheckpoint tiny_;
  Json config_;
};

constexpr const char* kMissing = ".mlp.down_proj.input_scale' is missing";

TEST_F(QuantizationClaims, WeightOnlyOrNoneNeedNoActivationScales) {
  EXPECT_EQ(refused(), "");
  config_["quantization_config"] = json(R"({"quant_method":"modelopt","quant_algo":"W4A16_NVFP4"})");
  EXPECT_EQ(refused(), "");
  config_["quantization_config"] = json(R"({"quant_method":"modelopt","config_groups":{"group_0":
      {"weights":{"num_bits":4},"input_activations":null,"targets":["Linear"]}}})");
  EXPECT_EQ(refused(), "");
}

TEST_F(QuantizationClaims, FourBitActivationsNeedTheirScales) {
  for (const char* claim : {R"({"quant_method":"modelopt","quant_algo":"NVFP4"})",
                            R"({"quant_method":"modelopt","config_groups":{"group_0":{"weights":{"num_bits":4},
                               "input_activations":{"num_bits":4,"dynamic":false},"targets":["Linear"]}}})"}) {
    config_["quantization_config"] = json(claim);
    EXPECT_THAT(refused(), HasSubstr(kMissing));
    EXPECT_THAT(refused(), HasSubstr("W4A16_NVFP4"));
    const auto problems = inspect(tiny_.folder()).problems;
    EXPECT_EQ(problems.size(), 21u);  // seven linear modules in each of three layers
  }
  SafetensorsBuilder tensors = tiny_.tensors();
  for (const char* layer : {"0", "1", "2"}) {
    for (const char* module : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      tensors.set(std::string("model.layers.") + layer + "." + module + ".input_scale",
                  {"F32", {}, f32_bytes({0.5f})});
    }
  }
  tiny_.save_tensors(tensors);
  EXPECT_EQ(refused(), "");
}

TEST_F(QuantizationClaims, AreAlsoFoundInTheTextConfigAndBesideConfigJson) {
  claim_beside(R"({"quantization":{"quant_algo":"NVFP4"}})");
  EXPECT_THAT(refused(), HasSubstr("hf_quant_config.json: quantization says NVFP4"));
  claim_beside(R"({"quantization":{"quant_algo":"NVFP4_AWQ"}})");
  EXPECT_THAT(refused(), HasSubstr("'quant_algo' is 'NVFP4_AWQ'"));
  claim_beside(R"({"producer":{}})");
  EXPECT_THAT(refused(), HasSubstr("'quantization' is absent, wanted an object"));
  // config.json is asked first, and in it the top level.
  config_["text_config"]["quantization_config"] = json(R"({"quant_method":"modelopt","quant_algo":"W4A8_NVFP4_FP8"})");
  EXPECT_THAT(refused(), HasSubstr("'quant_algo' is 'W4A8_NVFP4_FP8'"));
  config_["text_config"]["quantization_config"] = json(R"({"quant_method":"modelopt","quant_algo":"NVFP4"})");
  EXPECT_THAT(refused(), HasSubstr("config.json: text_config.quantization_config says NVFP4"));
  config_["quantization_config"] = json(R"({"quant_method":"modelopt","quant_algo":"W4A16_NVFP4"})");
  EXPECT_EQ(refused(), "");
}

TEST_F(QuantizationClaims, OfMixedCheckpointsHoldModuleByModule) {
  config_["quantization_config"] = json(R"({"quant_method":"modelopt","quant_algo":"MIXED_PRECISION",
      "quantized_layers":{
      "model.layers.1.mlp.down_proj":{"quant_algo":"NVFP4"},
      "model.layers.0.mlp.down_proj":{"quant_algo":"W4A16_NVFP4"}}})");
  tiny_.save_config(config_);
  const auto problems = inspect(tiny_.folder()).problems;
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0], HasSubstr("model.layers.1.mlp.down_proj.input_scale' is missing"));
  config_["quantization_config"]["quantized_layers"]["model.layers.1.mlp.down_proj"]["quant_algo"] = "NVFP4_SVD";
  EXPECT_THAT(refused(), HasSubstr("'quant_algo' is 'NVFP4_SVD'"));
}

}  // namespace
}  // namespace nvllm::checkpoint
