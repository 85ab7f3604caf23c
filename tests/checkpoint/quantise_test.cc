#include "checkpoint/quantise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/hashing.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/inspection.h"
#include "checkpoint/make_model.h"
#include "checkpoint/nvfp4_quantiser.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weight_names.h"
#include "support/tiny_checkpoint.h"
#include "tensor/dtype.h"

namespace nvllm::checkpoint {
namespace {

using ::nvllm::testing::read_text;
using ::nvllm::testing::SafetensorsBuilder;
using ::nvllm::testing::TempFolder;
using ::nvllm::testing::TinyCheckpoint;
using ::nvllm::testing::TinyFormat;
using ::testing::HasSubstr;

// One block whose tensor maximum is 0.5, worked out by exact emulation (docs/nvfp4.md).
constexpr std::array<std::uint16_t, 16> kBlock = {0x3c40, 0xbcc0, 0x3d28, 0x3c00, 0xbd80, 0x3d00,
                                                  0x3a03, 0xba03, 0x3c80, 0xbd40, 0x3cd0, 0x3dc0,
                                                  0xbca0, 0x3b80, 0xbda8, 0x3d88};
constexpr std::array<std::uint8_t, 8> kPacked = {0xb2, 0x15, 0x4e, 0x80, 0xd2, 0x73, 0x1b, 0x6f};

TEST(QuantiseRow, AgreesWithTheWorkedExample) {
  std::vector<float> row;
  for (const std::uint16_t bits : kBlock) row.push_back(to_float(Bf16{bits}));
  std::array<std::byte, 8> codes{};
  std::array<std::byte, 1> scales{};
  const float global = 0.5f / 2688.0f;
  EXPECT_EQ(std::bit_cast<std::uint32_t>(global), 0x39430c31u);
  quantise_row(row, global, codes, scales);
  EXPECT_EQ(static_cast<int>(scales[0]), 0x6a);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(static_cast<int>(codes[i]), kPacked[i]) << i;
}

TEST(QuantiseRow, GivesABlockOfZerosScaleOneAndATinyBlockTheSmallestScale) {
  std::vector<float> row(32, 0.0f);
  row[16] = 1e-9f;
  std::array<std::byte, 16> codes{};
  std::array<std::byte, 2> scales{};
  quantise_row(row, 1.0f, codes, scales);
  EXPECT_EQ(static_cast<int>(scales[0]), 0x38);
  EXPECT_EQ(static_cast<int>(scales[1]), 0x01);
  for (const std::byte code : codes) EXPECT_EQ(static_cast<int>(code), 0);
}

TEST(PowerOfTwoScale, IsTheNextPowerOfTwoAndHasAnExactReciprocal) {
  EXPECT_EQ(power_of_two_scale(2688.0f), 1.0f);
  EXPECT_EQ(power_of_two_scale(2689.0f), 2.0f);
  EXPECT_EQ(power_of_two_scale(0.5f), 0x1.0p-12f);
  EXPECT_EQ(power_of_two_scale(0.0f), 1.0f);
  for (const float magnitude : {1e-38f, 1e-45f, 1.0f, 3e38f}) {
    const float scale = power_of_two_scale(magnitude);
    EXPECT_GE(scale * 2688.0, static_cast<double>(magnitude));
    EXPECT_EQ(1.0f / (1.0f / scale), scale);
    EXPECT_TRUE(std::isnormal(1.0f / scale));
  }
}

TEST(QuantiseRow, StaysWithinHalfAStepOfEachValue) {
  // E2M1's widest step is 2 (from 4 to 6): half of it is 1/6 of a block's maximum. The rounded
  // block scale adds at most 1/16 of the maximum where a value saturates.
  constexpr float kRelativeMax = 1.0f / 6.0f + 1.0f / 16.0f;
  std::vector<float> row(4096);
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i] =
        static_cast<float>((random_uniform(3, i) - 0.5) * std::exp2(static_cast<double>(i / 512)));
  }
  std::vector<std::byte> codes(2048), scales(256);
  MatrixSource matrix;
  matrix.rows = 1;
  matrix.cols = 4096;
  matrix.format = MatrixFormat::kNvfp4;
  matrix.global_scale = power_of_two_scale(64.0f);
  quantise_row(row, matrix.global_scale, codes, scales);
  matrix.data = codes.data();
  matrix.block_scales = scales.data();
  std::vector<float> back(4096);
  dequantise_row(matrix, 0, back);
  for (std::size_t b = 0; b < 256; ++b) {
    float largest = 0.0f;
    for (std::size_t i = b * 16; i < b * 16 + 16; ++i)
      largest = std::max(largest, std::fabs(row[i]));
    for (std::size_t i = b * 16; i < b * 16 + 16; ++i) {
      EXPECT_LE(std::fabs(back[i] - row[i]), kRelativeMax * largest) << i;
    }
  }
}

QuantiseReport quantise_to(const std::string& model, const std::filesystem::path& out,
                           Nvfp4Layout layout, std::vector<std::string> keep = {},
                           std::int64_t shard = kShardBytesMax) {
  return quantise({.model = model,
                   .out = out,
                   .layout = layout,
                   .keep = std::move(keep),
                   .shard_bytes_max = shard,
                   .progress = {}});
}

TEST(Quantise, WritesBothLayoutsThatDequantiseToIdenticalBits) {
  for (const char* shape : {"tiny-hybrid", "tiny-qwen3", "tiny-llama"}) {
    const TinyCheckpoint tiny(shape);
    const TempFolder out;
    quantise_to(tiny.folder(), out / "m", Nvfp4Layout::kModelOpt);
    quantise_to(tiny.folder(), out / "c", Nvfp4Layout::kCompressedTensors);
    const Checkpoint modelopt = Checkpoint::open(out / "m"),
                     compressed = Checkpoint::open(out / "c");
    const Checkpoint source = Checkpoint::open(tiny.folder());
    EXPECT_EQ(source.config().eos_ids, modelopt.config().eos_ids);
    for (const WeightSpec& spec : required_weights(source.config())) {
      if (spec.role == WeightSpec::Role::kVector) {
        EXPECT_EQ(modelopt.vector(spec.name), source.vector(spec.name));
        EXPECT_EQ(compressed.vector(spec.name), source.vector(spec.name));
        continue;
      }
      const MatrixSource a = modelopt.matrix(spec.name), b = compressed.matrix(spec.name);
      EXPECT_EQ(a.format == MatrixFormat::kNvfp4,
                is_quantised_by_default(source.config(), spec.name))
          << spec.name;
      std::vector<float> first(static_cast<std::size_t>(a.cols)), second = first;
      for (std::int64_t r = 0; r < a.rows; ++r) {
        dequantise_row(a, r, first);
        dequantise_row(b, r, second);
        for (std::size_t i = 0; i < first.size(); ++i) {
          ASSERT_EQ(std::bit_cast<std::uint32_t>(first[i]), std::bit_cast<std::uint32_t>(second[i]))
              << spec.name;
        }
      }
    }
  }
}

TEST(Quantise, GivesModulesThatReadTheSameInputOneGlobalScale) {
  const TinyCheckpoint tiny("tiny-qwen3");
  const TempFolder out;
  quantise_to(tiny.folder(), out / "m", Nvfp4Layout::kModelOpt);
  const Checkpoint checkpoint = Checkpoint::open(out / "m");
  const LayerNames names = layer_names(checkpoint.config(), 0);
  EXPECT_EQ(checkpoint.matrix(names.q_proj).global_scale,
            checkpoint.matrix(names.v_proj).global_scale);
  EXPECT_EQ(checkpoint.matrix(names.gate_proj).global_scale,
            checkpoint.matrix(names.up_proj).global_scale);
}

TEST(Quantise, KeepsWhatItIsToldToAndSaysSoInTheConfig) {
  const TinyCheckpoint tiny("tiny-hybrid");
  const TempFolder out;
  const QuantiseReport report =
      quantise_to(tiny.folder(), out / "m", Nvfp4Layout::kModelOpt, {"*.q_proj", "mtp.*"});
  EXPECT_THAT(report.kept, ::testing::Contains("model.layers.3.self_attn.q_proj"));
  const Checkpoint checkpoint = Checkpoint::open(out / "m");
  EXPECT_EQ(checkpoint.matrix("model.layers.3.self_attn.q_proj").format, MatrixFormat::kBf16);
  EXPECT_EQ(checkpoint.matrix("mtp.fc").format, MatrixFormat::kBf16);
  EXPECT_EQ(checkpoint.matrix("model.layers.3.self_attn.k_proj").format, MatrixFormat::kNvfp4);
  const std::string config = read_text(out / "m" / "config.json");
  EXPECT_THAT(config, HasSubstr("\"model.layers.3.self_attn.q_proj\""));
  EXPECT_THAT(config, HasSubstr("\"quant_algo\": \"W4A16_NVFP4\""));
  EXPECT_TRUE(std::filesystem::exists(out / "m" / "hf_quant_config.json"));
  EXPECT_EQ(read_text(out / "m" / "tokenizer.json"), read_text(tiny.file("tokenizer.json")));
}

TEST(Quantise, GivesATiedHeadAnNvfp4MatrixOfItsOwnWhenAsked) {
  // tiny-hybrid ties its head, tiny-llama does not: both end with an NVFP4 head near the BF16 one.
  for (const char* shape : {"tiny-hybrid", "tiny-llama"}) {
    const TinyCheckpoint tiny(shape);
    const TempFolder out;
    for (const Nvfp4Layout layout : {Nvfp4Layout::kModelOpt, Nvfp4Layout::kCompressedTensors}) {
      QuantiseOptions options;
      options.model = tiny.folder();
      options.out = out / (layout == Nvfp4Layout::kModelOpt ? "m" : "c");
      options.layout = layout;
      options.head = HeadFormat::kNvfp4;
      quantise(options);
      EXPECT_TRUE(inspect(options.out).problems.empty());
      const Checkpoint source = Checkpoint::open(tiny.folder()), made = Checkpoint::open(options.out);
      EXPECT_FALSE(made.config().tied_head);
      const ModelNames names = model_names(made.config());
      const MatrixSource head = made.matrix(names.head);
      const MatrixSource before = source.matrix(source.config().tied_head ? names.embedding : names.head);
      EXPECT_EQ(head.format, MatrixFormat::kNvfp4);
      EXPECT_EQ(made.matrix(names.embedding).format, MatrixFormat::kBf16);
      ASSERT_EQ(head.rows, before.rows);
      std::vector<float> got(static_cast<std::size_t>(head.cols)), want = got;
      for (std::int64_t r = 0; r < head.rows; ++r) {
        dequantise_row(head, r, got);
        dequantise_row(before, r, want);
        float largest = 0;
        for (const float value : want) largest = std::max(largest, std::abs(value));
        for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], largest * (1.0f / 6 + 1.0f / 16));
      }
      EXPECT_THAT(read_text(options.out / "config.json"), ::testing::Not(HasSubstr("\"lm_head\"")));
    }
  }
}

TEST(Quantise, CutsShardsThatReadBackTheSame) {
  const TinyCheckpoint tiny("tiny-llama");
  const TempFolder out;
  quantise_to(tiny.folder(), out / "one", Nvfp4Layout::kModelOpt);
  quantise_to(tiny.folder(), out / "many", Nvfp4Layout::kModelOpt, {}, 20'000);
  EXPECT_TRUE(std::filesystem::exists(out / "many" / "model.safetensors.index.json"));
  EXPECT_GT(inspect(out / "many").file_count, 2);
  EXPECT_TRUE(inspect(out / "many").problems.empty());
  const Checkpoint one = Checkpoint::open(out / "one"), many = Checkpoint::open(out / "many");
  std::vector<float> a(64), b(64);
  dequantise_row(one.matrix("model.layers.2.mlp.up_proj"), 9, a);
  dequantise_row(many.matrix("model.layers.2.mlp.up_proj"), 9, b);
  EXPECT_EQ(a, b);
}

TEST(Quantise, AlignsEachTensorToItsElements) {
  const TinyCheckpoint tiny("tiny-hybrid");
  const TempFolder out;
  quantise_to(tiny.folder(), out / "m", Nvfp4Layout::kCompressedTensors);
  const SafetensorsFile file(out / "m" / "model.safetensors");
  for (const TensorInfo& tensor : file.tensors()) {
    EXPECT_EQ(tensor.begin % dtype_bytes(tensor.dtype), 0) << tensor.name;
  }
}

TEST(Quantise, RefusesWithReasons) {
  const TinyCheckpoint tiny("tiny-llama"), done("tiny-llama", TinyFormat::kNvfp4);
  const TempFolder out;
  const auto refusal = [&](const std::string& model, const std::filesystem::path& to,
                           std::vector<std::string> keep) {
    try {
      quantise_to(model, to, Nvfp4Layout::kModelOpt, std::move(keep));
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_THAT(refusal(done.folder(), out / "a", {}), HasSubstr("NVFP4 (ModelOpt) already"));
  EXPECT_THAT(refusal(tiny.folder(), out / "b", {"nothing*"}),
              HasSubstr("--keep 'nothing*' matches no module"));
  EXPECT_THAT(refusal(tiny.folder(), tiny.folder(), {}), HasSubstr("is not empty"));
  SafetensorsBuilder tensors = tiny.tensors();
  tensors.at("model.layers.1.mlp.down_proj.weight").bytes.replace(4, 2, "\xc0\x7f");
  tiny.save_tensors(tensors);
  EXPECT_THAT(refusal(tiny.folder(), out / "c", {}),
              HasSubstr("tensor 'model.layers.1.mlp.down_proj.weight' holds nan at [0, 2]"));
  EXPECT_THROW(parse_nvfp4_layout("gguf"), Error);
}

TEST(MakeModel, IsReproducibleAndDependsOnTheSeed) {
  const TinyCheckpoint a("tiny-hybrid", TinyFormat::kNvfp4, 5),
      b("tiny-hybrid", TinyFormat::kNvfp4, 5), c("tiny-hybrid", TinyFormat::kNvfp4, 6);
  EXPECT_EQ(read_text(a.file("model.safetensors")), read_text(b.file("model.safetensors")));
  EXPECT_NE(read_text(a.file("model.safetensors")), read_text(c.file("model.safetensors")));
}

TEST(MakeModel, WritesAnNvfp4HeadWhenAskedAndReadsItBack) {
  const TinyCheckpoint tiny("tiny-hybrid", TinyFormat::kNvfp4WithHead);
  const Checkpoint checkpoint = Checkpoint::open(tiny.folder()), memory = Checkpoint::open("synthetic:tiny-hybrid:nvfp4-head");
  EXPECT_FALSE(checkpoint.config().tied_head);
  EXPECT_EQ(checkpoint.matrix("lm_head").format, MatrixFormat::kNvfp4);
  EXPECT_FALSE(memory.config().tied_head);
  EXPECT_EQ(memory.matrix("lm_head").format, MatrixFormat::kNvfp4);
  EXPECT_EQ(Checkpoint::open("synthetic:tiny-hybrid").config().tied_head, true);
  EXPECT_THROW(static_cast<void>(Checkpoint::open("synthetic:tiny-hybrid:int8")), Error);
}

TEST(MakeModel, RefusesAVocabularyTooSmallForItsTokenizer) {
  Json config = known_shape_config("tiny-llama");
  config["vocab_size"] = 258;
  EXPECT_THROW(TinyCheckpoint::of_config(config), Error);
  config["vocab_size"] = 259;
  EXPECT_EQ(Checkpoint::open(TinyCheckpoint::of_config(config).folder()).config().vocab_size, 259);
}

TEST(ByteTokenizer, HasADistinctTokenForEachByte) {
  std::set<std::int64_t> ids;
  const Json vocabulary = byte_tokenizer(Family::kQwen35)["model"]["vocab"];
  for (const auto& [token, id] : vocabulary.items()) ids.insert(id.get<std::int64_t>());
  EXPECT_EQ(ids.size(), 256u);
  EXPECT_EQ(vocabulary["A"], 65);
  EXPECT_EQ(vocabulary["\u0120"], 32);  // the space, as every byte-level vocabulary writes it
}

TEST(Synthetic, HasTheVarianceThatKeepsActivationsFinite) {
  const Checkpoint checkpoint = Checkpoint::open("synthetic:tiny-llama");
  for (const char* module : {"model.layers.0.mlp.down_proj", "lm_head"}) {
    const MatrixSource matrix = checkpoint.matrix(module);
    std::vector<float> row(static_cast<std::size_t>(matrix.cols));
    double sum = 0.0, squares = 0.0;
    for (std::int64_t r = 0; r < matrix.rows; ++r) {
      dequantise_row(matrix, r, row);
      for (const float value : row) sum += value, squares += static_cast<double>(value) * value;
    }
    // 10,240 and 32,768 independent values: five standard errors of mean and variance.
    const double count = static_cast<double>(matrix.rows * matrix.cols);
    EXPECT_NEAR(squares / count * static_cast<double>(matrix.cols), 1.0,
                5.0 * std::sqrt(2.0 / count));
    EXPECT_NEAR(sum / count * std::sqrt(static_cast<double>(matrix.cols)), 0.0,
                5.0 / std::sqrt(count));
  }
}

}  // namespace
}  // namespace nvllm::checkpoint
