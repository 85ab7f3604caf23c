#include "checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/hashing.h"
#include "checkpoint/inspection.h"
#include "checkpoint/weight_names.h"
#include "support/tiny_checkpoint.h"
#include "tensor/dtype.h"

namespace nvllm::checkpoint {
namespace {

using ::nvllm::testing::bf16_bytes;
using ::nvllm::testing::f32_bytes;
using ::nvllm::testing::SafetensorsBuilder;
using ::nvllm::testing::TinyCheckpoint;
using ::nvllm::testing::TinyFormat;
using ::nvllm::testing::write_text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<float> row_of(const MatrixSource& matrix, std::int64_t row) {
  std::vector<float> values(static_cast<std::size_t>(matrix.cols));
  dequantise_row(matrix, row, values);
  return values;
}

/// Opens a folder and reads everything that the model needs; the message if that is refused.
std::string refusal(const std::string& folder) {
  try {
    const Checkpoint checkpoint = Checkpoint::open(folder);
    for (const WeightSpec& spec : required_weights(checkpoint.config())) {
      if (spec.role == WeightSpec::Role::kMatrix) {
        checkpoint.matrix(spec.name);
      } else {
        checkpoint.vector(spec.name);
      }
    }
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

constexpr const char* kUp = "model.layers.0.mlp.up_proj";  // [160, 64] in tiny-llama
constexpr std::int64_t kUpRows = 160, kUpCols = 64;

TEST(Checkpoint, OpensEveryFamilyInBothFormats) {
  for (const char* shape : {"tiny-hybrid", "tiny-qwen3", "tiny-llama"}) {
    for (const TinyFormat format : {TinyFormat::kBf16, TinyFormat::kNvfp4}) {
      const TinyCheckpoint tiny(shape, format);
      EXPECT_EQ(refusal(tiny.folder()), "") << shape;
      EXPECT_TRUE(inspect(tiny.folder()).problems.empty()) << shape;
    }
  }
}

TEST(Checkpoint, GivesTheSameWeightsFromFilesAsFromTheGenerator) {
  const TinyCheckpoint tiny("tiny-hybrid", TinyFormat::kNvfp4);
  for (const GdnParameters gdn : {GdnParameters::kCastToBf16, GdnParameters::kAsStored}) {
    const Checkpoint files = Checkpoint::open(tiny.folder(), gdn);
    const Checkpoint made = Checkpoint::open("synthetic:tiny-hybrid", gdn);
    EXPECT_EQ(files.weight_bytes(), made.weight_bytes());
    for (const WeightSpec& spec : required_weights(made.config())) {
      if (spec.role == WeightSpec::Role::kVector) {
        EXPECT_EQ(files.vector(spec.name), made.vector(spec.name)) << spec.name;
        continue;
      }
      const MatrixSource a = files.matrix(spec.name), b = made.matrix(spec.name);
      for (std::int64_t r = 0; r < a.rows; ++r) EXPECT_EQ(row_of(a, r), row_of(b, r)) << spec.name;
    }
  }
}

TEST(Checkpoint, CastsF32DeltaNetParametersOnlyWhenAsked) {
  const TinyCheckpoint tiny("tiny-hybrid");
  const LayerNames names = layer_names(known_shape("tiny-hybrid"), 0);
  const std::vector<float> stored =
      Checkpoint::open(tiny.folder(), GdnParameters::kAsStored).vector(names.a_log);
  std::vector<float> cast = Checkpoint::open(tiny.folder()).vector(names.a_log);
  EXPECT_NE(stored, cast);
  for (std::size_t i = 0; i < stored.size(); ++i) EXPECT_EQ(cast[i], round_to_bf16(stored[i]));
  Json config = tiny.config();
  config["dtype"] = "float32";  // transformers would not round then
  tiny.save_config(config);
  EXPECT_EQ(Checkpoint::open(tiny.folder()).vector(names.a_log), stored);
}

TEST(Checkpoint, ReadsShards) {
  const TinyCheckpoint tiny("tiny-llama");
  const SafetensorsBuilder whole = tiny.tensors();
  SafetensorsBuilder halves[2];
  Json index;
  int turn = 0;
  for (const auto& [name, tensor] : whole.tensors()) {
    const int half = turn++ % 2;
    halves[half].set(name, tensor);
    index["weight_map"][name] = half == 0 ? "x.safetensors" : "y.safetensors";
  }
  halves[0].write(tiny.file("x.safetensors"));
  halves[1].write(tiny.file("y.safetensors"));
  std::filesystem::remove(tiny.file("model.safetensors"));
  write_text(tiny.file("model.safetensors.index.json"), dump_json(index));
  EXPECT_EQ(refusal(tiny.folder()), "");
  EXPECT_EQ(inspect(tiny.folder()).file_count, 2);
}

TEST(Checkpoint, FindsTheTextStackUnderEitherPrefix) {
  const TinyCheckpoint tiny("tiny-hybrid");
  SafetensorsBuilder tensors = tiny.tensors(), renamed;
  for (const auto& [name, tensor] : tensors.tensors()) {
    renamed.set(name.starts_with("model.") ? "model.language_model." + name.substr(6) : name,
                tensor);
  }
  renamed.set("model.visual.patch_embed.weight", {"F16", {2}, "abcd"});
  tiny.save_tensors(renamed);
  EXPECT_EQ(refusal(tiny.folder()), "");
  const Checkpoint checkpoint = Checkpoint::open(tiny.folder());
  EXPECT_EQ(checkpoint.config().tensor_prefix, "model.language_model.");
  EXPECT_FALSE(checkpoint.has("model.visual.patch_embed.weight"));
}

TEST(Checkpoint, KeepsTheDraftTokenHeadAndDoesWithoutIt) {
  const TinyCheckpoint tiny("tiny-hybrid");
  EXPECT_EQ(Checkpoint::open(tiny.folder()).config().mtp_layer_count, 1);
  EXPECT_EQ(Checkpoint::open(tiny.folder()).matrix(mtp_names().fc).cols, 128);
  SafetensorsBuilder tensors = tiny.tensors(), without;
  for (const auto& [name, tensor] : tensors.tensors()) {
    if (!name.starts_with("mtp.")) without.set(name, tensor);
  }
  tiny.save_tensors(without);
  EXPECT_EQ(refusal(tiny.folder()), "");
  EXPECT_EQ(Checkpoint::open(tiny.folder()).config().mtp_layer_count, 0);
  tensors.remove("mtp.fc.weight");
  tiny.save_tensors(tensors);
  EXPECT_THAT(refusal(tiny.folder()), HasSubstr("tensor 'mtp.fc.weight' is missing"));
}

TEST(Checkpoint, NamesWhatIsMissingExtraOrMisshapen) {
  const TinyCheckpoint tiny("tiny-llama");
  const SafetensorsBuilder good = tiny.tensors();
  const auto refused = [&](const std::function<void(SafetensorsBuilder&)>& change) {
    SafetensorsBuilder tensors = good;
    change(tensors);
    tiny.save_tensors(tensors);
    return refusal(tiny.folder());
  };
  EXPECT_THAT(refused([](auto& t) { t.remove("model.layers.1.mlp.up_proj.weight"); }),
              HasSubstr("tensor 'model.layers.1.mlp.up_proj.weight' is missing"));
  EXPECT_THAT(refused([](auto& t) { t.remove("model.norm.weight"); }),
              HasSubstr("tensor 'model.norm.weight' is missing"));
  EXPECT_THAT(refused([](auto& t) {
                t.set("model.layers.3.norm.weight", {"F32", {1}, "abcd"});
              }),
              HasSubstr("'model.layers.3.norm.weight' (F32 [1]) belongs to no part of this model"));
  EXPECT_THAT(refused([](auto& t) {
                t.set("model.visual.x", {"F32", {1}, "abcd"});
              }),
              HasSubstr("belongs to no part"));
  EXPECT_THAT(refused([](auto& t) {
                t.set("model.layers.0.self_attn.q_proj.bias", {"F32", {1}, "abcd"});
              }),
              HasSubstr("q_proj.bias' (F32 [1]) belongs to no part"));
  EXPECT_THAT(refused([](auto& t) {
                t.at("model.norm.weight").shape = {64, 1};
              }),
              HasSubstr("'model.norm.weight' is BF16 [64, 1], wanted BF16, F16 or F32 [64]"));
  EXPECT_THAT(refused([](auto& t) { t.at("model.norm.weight").dtype = "I16"; }),
              HasSubstr("is I16 [64]"));
  EXPECT_THAT(refused([](auto& t) {
                t.at("lm_head.weight").shape = {64, 512};
              }),
              HasSubstr("'lm_head.weight' is BF16 [64, 512], wanted BF16 [512, 64]"));
  EXPECT_THAT(refused([](auto& t) { t.at("lm_head.weight").dtype = "I16"; }),
              HasSubstr("no weight layout nvllm reads"));
  EXPECT_EQ(refused([](auto& t) {
              t.set("model.layers.0.self_attn.rotary_emb.inv_freq", {"F32", {1}, "abcd"});
            }),
            "");
}

TEST(Checkpoint, ListsTheFirstProblemsAndInspectAllOfThem) {
  const TinyCheckpoint tiny("tiny-llama");
  SafetensorsBuilder tensors = tiny.tensors();
  for (int i = 0; i < 3; ++i) {
    for (const char* part : {"gate_proj", "up_proj"}) {
      tensors.remove("model.layers." + std::to_string(i) + ".mlp." + part + ".weight");
    }
  }
  tiny.save_tensors(tensors);
  EXPECT_THAT(refusal(tiny.folder()), HasSubstr("and 2 more problems (nvllm inspect lists all)"));
  EXPECT_EQ(inspect(tiny.folder()).problems.size(), 6u);
}

TEST(Checkpoint, DecidesOnTheHeadByTheTensors) {
  const TinyCheckpoint tiny("tiny-llama");  // untied: head and embedding present
  Json config = tiny.config();
  config["tie_word_embeddings"] = true;
  tiny.save_config(config);
  EXPECT_FALSE(Checkpoint::open(tiny.folder()).config().tied_head);
  SafetensorsBuilder tensors = tiny.tensors();
  const auto head = tensors.at("lm_head.weight");
  tensors.remove("lm_head.weight");
  tiny.save_tensors(tensors);
  EXPECT_TRUE(Checkpoint::open(tiny.folder()).config().tied_head);
  // The head alone serves as embedding too.
  tensors.set("lm_head.weight", head);
  tensors.remove("model.embed_tokens.weight");
  tiny.save_tensors(tensors);
  EXPECT_EQ(refusal(tiny.folder()), "");
  EXPECT_EQ(Checkpoint::open(tiny.folder()).matrix("model.embed_tokens").rows, 512);
  // Untied, either is needed.
  config["tie_word_embeddings"] = false;
  tiny.save_config(config);
  EXPECT_THAT(refusal(tiny.folder()), HasSubstr("'model.embed_tokens.weight' is missing"));
  tensors.rename("lm_head.weight", "model.embed_tokens.weight");
  tiny.save_tensors(tensors);
  EXPECT_THAT(refusal(tiny.folder()), HasSubstr("'lm_head.weight' is missing"));
  config["text_config"]["tie_word_embeddings"] = true;
  tiny.save_config(config);
  EXPECT_THAT(refusal(tiny.folder()), HasSubstr("tie_word_embeddings twice with different values"));
}

/// A tiny Llama whose up_proj of layer 0 is replaced by the tensors given.
class Layouts : public ::testing::Test {
 protected:
  Layouts() : tiny_("tiny-llama"), tensors_(tiny_.tensors()) {
    codes_.resize(kUpRows * kUpCols);
    for (std::size_t i = 0; i < codes_.size(); ++i) {
      codes_[i] = static_cast<char>(random_bits(7, i) & 0x77);  // positive, never NaN
    }
    tensors_.remove(name("weight"));
  }

  static std::string name(const std::string& part) { return std::string(kUp) + "." + part; }
  void set(const std::string& part, const std::string& dtype, std::vector<std::int64_t> shape,
           std::string bytes) {
    tensors_.set(name(part), {dtype, std::move(shape), std::move(bytes)});
  }
  void set_nvfp4(bool modelopt) {
    set(modelopt ? "weight" : "weight_packed", "U8", {kUpRows, kUpCols / 2},
        codes_.substr(0, kUpRows * kUpCols / 2));
    set("weight_scale", "F8_E4M3", {kUpRows, kUpCols / 16},
        codes_.substr(0, kUpRows * kUpCols / 16));
    if (modelopt) {
      set("weight_scale_2", "F32", {}, f32_bytes({0.25f}));
    } else {
      set("weight_global_scale", "F32", {1}, f32_bytes({4.0f}));
    }
  }
  void set_fp8() { set("weight", "F8_E4M3", {kUpRows, kUpCols}, codes_); }
  std::string refused() {
    tiny_.save_tensors(tensors_);
    return refusal(tiny_.folder());
  }
  MatrixSource read() {
    EXPECT_EQ(refused(), "");
    return Checkpoint::open(tiny_.folder()).matrix(kUp);
  }
  float code(std::int64_t row, std::int64_t col) const {
    return e4m3_to_float(
        static_cast<std::uint8_t>(codes_[static_cast<std::size_t>(row * kUpCols + col)]));
  }

  TinyCheckpoint tiny_;
  SafetensorsBuilder tensors_;
  std::string codes_;
};

TEST_F(Layouts, ReadBothNvfp4FormsToIdenticalValues) {
  set_nvfp4(true);
  set("input_scale", "F32", {}, f32_bytes({0.5f}));
  const MatrixSource modelopt = read();
  EXPECT_EQ(modelopt.global_scale_rule, GlobalScale::kMultiplies);
  for (const char* part : {"weight", "weight_scale_2", "input_scale"}) tensors_.remove(name(part));
  set_nvfp4(false);
  set("input_global_scale", "F32", {1}, f32_bytes({2.0f}));
  const MatrixSource compressed = read();
  EXPECT_EQ(compressed.global_scale_rule, GlobalScale::kDivides);
  for (std::int64_t r = 0; r < kUpRows; ++r) EXPECT_EQ(row_of(modelopt, r), row_of(compressed, r));
}

TEST_F(Layouts, ReadF16AndF32) {
  std::vector<float> values(kUpRows * kUpCols, 0.1f);
  set("weight", "F32", {kUpRows, kUpCols}, f32_bytes(values));
  EXPECT_EQ(row_of(read(), 3)[5], 0.1f);
  std::string halves;
  for (std::size_t i = 0; i < values.size(); ++i) halves += std::string("\x00\x3c", 2);
  set("weight", "F16", {kUpRows, kUpCols}, halves);
  EXPECT_EQ(row_of(read(), 3)[5], 1.0f);
}

TEST_F(Layouts, ReadFp8WithEachKindOfScale) {
  set_fp8();
  set("weight_scale", "F32", {}, f32_bytes({0.5f}));
  set("input_scale", "F32", {1}, f32_bytes({1.0f}));
  EXPECT_EQ(row_of(read(), 2)[7], round_to_bf16(code(2, 7) * 0.5f));
  std::vector<float> rows(kUpRows);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = 1.0f + static_cast<float>(i);
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{kUpRows}, {kUpRows, 1}}) {
    set("weight_scale", "BF16", shape, bf16_bytes(rows));
    EXPECT_EQ(row_of(read(), 2)[7], round_to_bf16(code(2, 7) * 3.0f));
  }
  const auto blocks = bf16_bytes({2.0f, 4.0f});  // rows 0 to 127, and the rest
  set("weight_scale", "BF16", {2, 1}, blocks);
  EXPECT_EQ(row_of(read(), 130)[7], round_to_bf16(code(130, 7) * 4.0f));
  tensors_.remove(name("weight_scale"));
  tensors_.remove(name("input_scale"));
  set("weight_scale_inv", "BF16", {2, 1}, blocks);
  EXPECT_EQ(row_of(read(), 130)[7], round_to_bf16(code(130, 7) * 4.0f));
}

TEST_F(Layouts, AreRefusedWithAScaleMissingOrLeftOver) {
  set_nvfp4(true);
  tensors_.remove(name("weight_scale_2"));
  EXPECT_THAT(refused(),
              HasSubstr("up_proj.weight_scale_2' is missing, but the module is NVFP4 (ModelOpt)"));
  set_nvfp4(true);
  tensors_.remove(name("weight_scale"));
  EXPECT_THAT(refused(), HasSubstr("up_proj.weight_scale' is missing"));
  set_nvfp4(true);
  set("weight_global_scale", "F32", {1}, f32_bytes({1.0f}));
  EXPECT_THAT(
      refused(),
      HasSubstr("up_proj.weight_global_scale' is left over: the module is NVFP4 (ModelOpt)"));
  tensors_.remove(name("weight_global_scale"));
  set("weight", "BF16", {kUpRows, kUpCols}, bf16_bytes(std::vector<float>(kUpRows * kUpCols)));
  EXPECT_THAT(refused(), HasSubstr("up_proj.weight_scale' is left over: the module is BF16"));
  tensors_.remove(name("weight_scale"));
  tensors_.remove(name("weight_scale_2"));
  set_fp8();
  EXPECT_THAT(refused(), HasSubstr("up_proj.weight_scale' is missing, but the module is FP8"));
}

TEST_F(Layouts, AreRefusedWithScalesOfTheWrongShape) {
  set_nvfp4(true);
  set("weight_scale", "F8_E4M3", {kUpRows, 2}, std::string(kUpRows * 2, '\x38'));
  EXPECT_THAT(refused(), HasSubstr("is F8_E4M3 [160, 2], wanted F8_E4M3 [160, 4]"));
  set("weight_scale", "U8", {kUpRows, 4}, std::string(kUpRows * 4, '\x38'));
  EXPECT_THAT(refused(), HasSubstr("is U8 [160, 4], wanted F8_E4M3"));
  set_nvfp4(true);
  set("weight_scale_2", "F32", {2}, f32_bytes({1.0f, 1.0f}));
  EXPECT_THAT(refused(), HasSubstr("is F32 [2], wanted one F32 number"));
  tensors_.remove(name("weight_scale_2"));
  set_fp8();
  set("weight_scale", "F32", {3}, f32_bytes({1.0f, 1.0f, 1.0f}));
  EXPECT_THAT(refused(), HasSubstr("is F32 [3], wanted one number, [160] or [2, 1]"));
  set("weight_scale", "F16", {}, "ab");
  EXPECT_THAT(refused(), HasSubstr("is F16 [], wanted F32 or BF16"));
}

TEST_F(Layouts, AreRefusedWithScalesThatAreNoScales) {
  const auto with_block_scale = [&](unsigned char scale) {
    set_nvfp4(true);
    tensors_.at(name("weight_scale")).bytes[9] = static_cast<char>(scale);
    return refused();
  };
  EXPECT_THAT(
      with_block_scale(0x7f),
      HasSubstr("scale tensor 'model.layers.0.mlp.up_proj.weight_scale' holds NaN at element 9"));
  EXPECT_THAT(with_block_scale(0xff), HasSubstr("holds NaN at element 9"));
  EXPECT_THAT(with_block_scale(0xb8), HasSubstr("holds -1 at element 9"));
  EXPECT_EQ(inspect(tiny_.folder()).problems.size(), 1u);
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(), 1e-45f}) {
    set_nvfp4(true);
    set("weight_scale_2", "F32", {}, f32_bytes({bad}));
    EXPECT_THAT(refused(), HasSubstr("global scale 'model.layers.0.mlp.up_proj.weight_scale_2' is"))
        << bad;
  }
  tensors_.remove(name("weight_scale_2"));
  set_fp8();
  for (const float bad : {-1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    set("weight_scale", "F32", {1}, f32_bytes({bad}));
    EXPECT_THAT(refused(), HasSubstr("up_proj.weight_scale' holds")) << bad;
  }
}

TEST(Checkpoint, ConsumesScalesOfTheKeyValueCache) {
  const TinyCheckpoint tiny("tiny-llama");
  SafetensorsBuilder tensors = tiny.tensors();
  tensors.set("model.layers.0.self_attn.k_proj.k_scale", {"F32", {}, f32_bytes({0.5f})});
  tensors.set("model.layers.1.self_attn.v_scale", {"F32", {1}, f32_bytes({0.25f})});
  tiny.save_tensors(tensors);
  EXPECT_EQ(refusal(tiny.folder()), "");
  EXPECT_THAT(Checkpoint::open(tiny.folder()).vector("model.layers.0.self_attn.k_proj.k_scale"),
              ElementsAre(0.5f));
}

TEST(Checkpoint, RefusesSchemesThatOnlyLookAlike) {
  const TinyCheckpoint tiny("tiny-llama");
  const auto refused = [&](const char* scheme) {
    Json config = tiny.config();
    config["quantization_config"] = parse_json(scheme, "scheme");
    tiny.save_config(config);
    return refusal(tiny.folder());
  };
  EXPECT_THAT(refused(R"({"quant_method":"gptq"})"), HasSubstr("'quant_method' is 'gptq'"));
  EXPECT_THAT(refused(R"({"quant_method":"modelopt","quant_algo":"NVFP4_AWQ"})"),
              HasSubstr("'quant_algo' is 'NVFP4_AWQ'"));
  EXPECT_THAT(refused("[]"), HasSubstr("'quantization_config' is [], wanted an object"));
  EXPECT_EQ(refused(R"({"quant_method":"compressed-tensors"})"), "");
}

TEST(Checkpoint, SaysWhatIsWrongWithAFolder) {
  EXPECT_THAT(refusal("/nonexistent/model"), HasSubstr("/nonexistent/model: no such folder"));
  const TinyCheckpoint tiny("tiny-llama");
  std::filesystem::remove(tiny.file("config.json"));
  EXPECT_THAT(refusal(tiny.folder()), HasSubstr("config.json: cannot be opened"));
  write_text(tiny.file("config.json"), "{");
  EXPECT_THAT(refusal(tiny.folder()), HasSubstr("config.json: not valid JSON"));
  EXPECT_THAT(refusal("synthetic:nope"), HasSubstr("shape 'nope' is unknown"));
}

TEST(Checkpoint, RefusesNamesThatAreNotItsOwn) {
  const Checkpoint checkpoint = Checkpoint::open("synthetic:tiny-llama");
  EXPECT_THROW(checkpoint.matrix("model.layers.9.mlp.up_proj"), Error);
  EXPECT_THROW(checkpoint.matrix("model.norm.weight"), Error);
  EXPECT_THROW(checkpoint.vector("lm_head"), Error);
  EXPECT_TRUE(checkpoint.has("lm_head"));
  EXPECT_FALSE(checkpoint.has("lm_head.weight"));
}

TEST(DemoModel, HasItsHundredAndEightMatrices) {
  const std::string folder = std::string(NVLLM_SOURCE_DIR) + "/models/demo";
  EXPECT_EQ(refusal(folder), "");
  const Inspection found = inspect(folder);
  EXPECT_TRUE(found.problems.empty());
  std::int64_t quantised = 0;
  for (const TensorTotal& total : found.totals) {
    if (total.format == "NVFP4 (ModelOpt)") quantised += total.count;
  }
  EXPECT_EQ(quantised, 108);
  EXPECT_THAT(found.config->eos_ids, ElementsAre(0, 2));
}

}  // namespace
}  // namespace nvllm::checkpoint
