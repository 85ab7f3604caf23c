// Tiny random checkpoints of every family against Hugging Face transformers: the logits of every
// position of a prompt and of a greedy completion. tools/golden/tiny_models.py made the checkpoints
// and the vectors, and says what each run of transformers rounded.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "base/files.h"
#include "base/json.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/simd_target.h"
#include "kernels/reference/reference_ops.h"
#include "model/hybrid_model.h"
#include "support/safetensors_builder.h"
#include "support/temp_folder.h"

namespace nvllm::test {
namespace {

using nvllm::testing::SafetensorsBuilder;
using nvllm::testing::TempFolder;
namespace fs = std::filesystem;

fs::path folder_of(const std::string& name) { return fs::path(NVLLM_SOURCE_DIR) / "tests/data/tiny_models" / name; }

using Logits = std::vector<float>;  // [positions, vocab]

/// What transformers made of one checkpoint.
struct Golden {
  std::vector<std::int32_t> prompt, completion;
  Logits logits;   ///< weights and sums in float64, but norms, rope, softmax, delta rule in float32
  Logits widened;  ///< everything in float64
  Logits rounded;  ///< everything in BF16

  explicit Golden(const std::string& name) {
    const fs::path folder = folder_of(name);
    const Json json = parse_json(read_file(folder / "golden.json", 1 << 20), "golden.json");
    prompt = json["prompt_ids"].get<std::vector<std::int32_t>>();
    completion = json["completion_ids"].get<std::vector<std::int32_t>>();
    SafetensorsBuilder file = SafetensorsBuilder::from_file(folder / "golden.safetensors");
    logits = floats(file.at("logits").bytes);
    widened = floats(file.at("logits_widened").bytes);
    const std::string& bytes = file.at("logits_bf16").bytes;
    std::vector<Bf16> narrow(bytes.size() / sizeof(Bf16));
    std::memcpy(narrow.data(), bytes.data(), bytes.size());
    for (const Bf16 value : narrow) rounded.push_back(to_float(value));
  }

  /// The prompt and every completed token but the last, whose successor nobody asked for.
  std::vector<std::int32_t> all_ids() const {
    std::vector<std::int32_t> ids = prompt;
    ids.insert(ids.end(), completion.begin(), completion.end() - 1);
    return ids;
  }

 private:
  static Logits floats(const std::string& bytes) {
    Logits out(bytes.size() / sizeof(float));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
};

struct Distance {
  double largest = 0, rms = 0;
};
/// A value that is not a number is infinitely far.
Distance distance(const Logits& a, const Logits& b) {
  NVLLM_CHECK_EQ(a.size(), b.size());
  Distance out;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
    out.largest = std::max(out.largest, difference);
    out.rms += difference * difference;
  }
  out.rms = std::sqrt(out.rms / static_cast<double>(a.size()));
  return out;
}

double largest(const Logits& logits) {
  double out = 0;
  for (const float value : logits) out = std::max(out, std::abs(static_cast<double>(value)));
  return out;
}

/// ReferenceOps rounds nothing but its finished logits, to float, and so are the vectors: two roundings
/// of half a unit in the last place. A norm's epsilon is a float, off by up to 3e-8 of itself, and matters
/// as much less as epsilon is less than the mean square it joins: that and the order of sums get 1e-8.
double reference_tolerance(const Golden& golden) { return 2 * 0x1.0p-24 * largest(golden.widened) + 1e-8; }

ReferenceOps make_ops(ReferenceOps*) { return {}; }
CpuOps make_ops(CpuOps*) { return CpuOps({.threads = 2, .tokens_max = 32, .positions_max = 64}); }

double not_a_number(double) { return std::nan(""); }
float not_a_number(float) { return std::nanf(""); }
Bf16 not_a_number(Bf16) { return {0x7fc0}; }

/// One sequence on shuffled blocks and a slot in the middle; memory that nobody wrote is not a number.
template <class B>
class Sequence {
 public:
  Sequence(const checkpoint::Checkpoint& files, const std::string& leg)
      : ops_(make_ops(static_cast<B*>(nullptr))),
        model_(ops_, files, named_leg(leg),
               {.tokens_per_step = 32, .logit_rows = 32, .kv_blocks = 6, .kv_block_tokens = 8, .state_slots = 3}) {
    const auto kv = not_a_number(typename B::Kv{});
    for (std::int64_t block = 0; block < 6; ++block) model_.fill_block(block, kv);
    const auto real = not_a_number(typename B::Real{});
    for (std::int64_t slot = 0; slot < 3; ++slot) model_.fill_slot(slot, real, not_a_number(typename B::State{}));
    model_.fill_scratch(real);
  }

  /// Logits of all positions: steps of the given sizes, then token by token.
  Logits run(const std::vector<std::int32_t>& ids, std::vector<std::int64_t> steps) {
    Logits out;
    const auto count = static_cast<std::int64_t>(ids.size());
    for (std::int64_t at = 0, i = 0; at < count; ++i) {
      const std::int64_t tokens = i < static_cast<std::int64_t>(steps.size()) ? steps[static_cast<std::size_t>(i)] : 1;
      const std::span<const std::int32_t> part(ids.data() + at, static_cast<std::size_t>(tokens));
      const View<const float> logits = step(part, at);
      out.insert(out.end(), logits.row(0), logits.row(0) + logits.rows * logits.cols);
      at += tokens;
    }
    return out;
  }

 private:
  View<const float> step(std::span<const std::int32_t> ids, std::int64_t start) {
    const auto tokens = static_cast<std::int64_t>(ids.size());
    const std::vector<Segment> segments = {
        {.first_row = 0, .token_count = tokens, .start = start, .slot = 1, .blocks = blocks_}};
    std::vector<std::int64_t> rows;
    for (std::int64_t row = 0; row < tokens; ++row) rows.push_back(row);
    return model_.forward({.ids = ids, .segments = segments, .logit_rows = rows});
  }

  B ops_;
  model::HybridModel<B> model_;
  std::vector<std::int32_t> blocks_ = {4, 1, 5, 2};
};

template <class B>
Logits logits_of(const fs::path& folder, const Golden& golden, const std::vector<std::int64_t>& steps,
                 const std::string& leg = "spelled-out",
                 checkpoint::GdnParameters gdn = checkpoint::GdnParameters::kCastToBf16) {
  return Sequence<B>(checkpoint::Checkpoint::open(folder, gdn), leg).run(golden.all_ids(), steps);
}

/// The whole prompt at once, and a prompt cut where no boundary of blocks or convolution is.
const std::vector<std::vector<std::int64_t>> kCuts = {{24}, {5, 1, 18}};

class Transformers : public ::testing::TestWithParam<std::string> {
 protected:
  fs::path folder() const { return folder_of(GetParam()); }
  Golden golden_{GetParam()};
};

TEST_P(Transformers, VectorsCoverAPromptAndACompletionAndDifferLittle) {
  ASSERT_EQ(golden_.prompt.size(), 24u);
  ASSERT_EQ(golden_.completion.size(), 8u);
  ASSERT_EQ(golden_.widened.size(), 31u * 64u);
  // Were the float32 inside transformers worth more, the test that allows for it would prove little.
  EXPECT_LT(distance(golden_.logits, golden_.widened).largest, 2e-5);
  EXPECT_LT(distance(golden_.rounded, golden_.widened).largest, 0.25);
}

TEST_P(Transformers, ReferenceOpsGivesTheUnroundedLogitsInOneStepAndInPieces) {
  for (const auto& steps : kCuts) {
    const Distance found = distance(logits_of<ReferenceOps>(folder(), golden_, steps), golden_.widened);
    EXPECT_LE(found.largest, reference_tolerance(golden_));
  }
}

TEST_P(Transformers, ReferenceOpsGivesTheLogitsOfTransformersAsItIs) {
  // The test above implies this one; it is the claim users care about, of the code as they install it.
  const double allowed = reference_tolerance(golden_) + distance(golden_.logits, golden_.widened).largest;
  EXPECT_LE(distance(logits_of<ReferenceOps>(folder(), golden_, kCuts[0]), golden_.logits).largest, allowed);
}

TEST_P(Transformers, ReferenceOpsCompletesGreedilyWithTheSameTokens) {
  Sequence<ReferenceOps> sequence(checkpoint::Checkpoint::open(folder()), "spelled-out");
  const Logits logits = sequence.run(golden_.all_ids(), {24});
  for (std::size_t i = 0; i < golden_.completion.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>((golden_.prompt.size() - 1 + i) * 64);
    EXPECT_EQ(std::max_element(row, row + 64) - row, golden_.completion[i]) << "token " << i;
  }
}

TEST_P(Transformers, ReferenceOpsNoticesTheLastBitOfAnyTensor) {
  const SafetensorsBuilder right = SafetensorsBuilder::from_file(folder() / "model.safetensors");
  TempFolder temporary;
  fs::copy_file(folder() / "config.json", temporary.path() / "config.json");
  for (const auto& [name, original] : right.tensors()) {
    if (name.starts_with("model.visual.")) continue;
    // The first element, of a token that occurs; the last bit that BF16 keeps.
    const std::size_t element = original.dtype == "F32" ? 4 : 2;
    const std::size_t row_bytes = original.bytes.size() / static_cast<std::size_t>(original.shape[0]);
    const bool embedding = name.ends_with("embed_tokens.weight");
    const std::size_t at = embedding ? static_cast<std::size_t>(golden_.prompt[0]) * row_bytes : 0;
    std::string bytes = original.bytes;
    bytes[at + element - 2] = static_cast<char>(bytes[at + element - 2] ^ 1);
    SafetensorsBuilder tensors = right;
    tensors.at(name).bytes = bytes;
    tensors.write(temporary.path() / "model.safetensors");
    const Logits wrong = logits_of<ReferenceOps>(temporary.path(), golden_, kCuts[0]);
    EXPECT_GT(distance(wrong, golden_.widened).largest, reference_tolerance(golden_)) << name;
  }
}

TEST_P(Transformers, CpuOpsIsWithinTwiceTheDistanceOfTransformersInBf16) {
  // Both round where transformers rounds, to the same eight bits, but sum in other orders; a rounding
  // that falls the other way is one more of those that the distance of the BF16 run is made of.
  const Distance allowed = distance(golden_.rounded, golden_.widened);
  for (const std::string& target : cpu::simd_targets()) {
    cpu::use_simd_target(target);
    const Distance found = distance(logits_of<CpuOps>(folder(), golden_, kCuts[0]), golden_.widened);
    EXPECT_LE(found.largest, 2 * allowed.largest) << target;
    EXPECT_LE(found.rms, 2 * allowed.rms) << target;
  }
  cpu::use_best_simd_target();
}

TEST_P(Transformers, CpuOpsNoticesAKindOfVectorThatIsNeverApplied) {
  const SafetensorsBuilder right = SafetensorsBuilder::from_file(folder() / "model.safetensors");
  const double allowed = 2 * distance(golden_.rounded, golden_.widened).rms;
  TempFolder temporary;
  fs::copy_file(folder() / "config.json", temporary.path() / "config.json");
  std::map<std::string, SafetensorsBuilder> without;  // by kind: the checkpoint with that kind in no layer
  for (const auto& [name, original] : right.tensors()) {
    if (name.starts_with("model.visual.") || original.shape.size() != 1) continue;
    // What leaves everything as it is: one where a norm's rule is w, zero where it is 1 + w or a sum.
    const bool plain = name.ends_with("norm.weight") &&
                       (!GetParam().starts_with("qwen3_5") || name.ends_with("linear_attn.norm.weight"));
    const std::vector<float> neutral(static_cast<std::size_t>(original.shape[0]), plain ? 1.0f : 0.0f);
    const std::string kind = name.substr(name.find_last_of("0123456789") + 1);
    without.try_emplace(kind, right)
        .first->second.set(name, {"BF16", original.shape, nvllm::testing::bf16_bytes(neutral)});
  }
  for (const auto& [kind, tensors] : without) {
    tensors.write(temporary.path() / "model.safetensors");
    const Logits wrong = logits_of<CpuOps>(temporary.path(), golden_, kCuts[0]);
    EXPECT_GT(distance(wrong, golden_.widened).rms, allowed) << kind;
  }
}

TEST_P(Transformers, CpuOpsGivesTheSameBitsInEveryLegAndHoweverThePromptIsCut) {
  const Logits expected = logits_of<CpuOps>(folder(), golden_, kCuts[0]);
  for (const std::string& leg : leg_names()) {
    for (const auto& steps : kCuts) {
      EXPECT_EQ(logits_of<CpuOps>(folder(), golden_, steps, leg), expected) << leg << ", " << steps.size() << " steps";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Transformers,
                         ::testing::Values("qwen3_5_ratio1", "qwen3_5_ratio3", "qwen3_tied", "qwen3_yarn",
                                           "llama3_tied", "llama_biased"),
                         [](const auto& param) { return param.param; });

TEST(TransformersCast, DeltaParametersStoredInF32AreRoundedAsTransformersRoundsThem) {
  const Golden golden("qwen3_5_ratio3");
  const Logits as_stored = logits_of<ReferenceOps>(folder_of("qwen3_5_ratio3"), golden, kCuts[0], "spelled-out",
                                                   checkpoint::GdnParameters::kAsStored);
  EXPECT_GT(distance(as_stored, golden.widened).largest, 100 * reference_tolerance(golden));
}

}  // namespace
}  // namespace nvllm::test
