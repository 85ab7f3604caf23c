#include "checkpoint/kv_scales.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "support/tiny_checkpoint.h"

namespace nvllm::checkpoint {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kAttentionLayer = 3;  // of tiny-hybrid

/// The scales of tiny-hybrid's attention layer with these tensors beside its own.
KvScales scales_with(const std::vector<std::pair<std::string, float>>& added) {
  const testing::TinyCheckpoint tiny("tiny-hybrid");
  testing::SafetensorsBuilder tensors = tiny.tensors();
  for (const auto& [name, value] : added) tensors.set(name, {"F32", {1}, testing::f32_bytes({value})});
  tiny.save_tensors(tensors);
  const Checkpoint files = Checkpoint::open(tiny.folder());
  return kv_scales(files, layer_names(files.config(), kAttentionLayer));
}

LayerNames attention_names() {
  const testing::TinyCheckpoint tiny("tiny-hybrid");
  return layer_names(Checkpoint::open(tiny.folder()).config(), kAttentionLayer);
}

TEST(KvScales, AreOneWhereTheCheckpointHasNone) {
  const KvScales scales = scales_with({});
  EXPECT_EQ(scales.key, 1);
  EXPECT_EQ(scales.value, 1);
}

TEST(KvScales, AreReadInEitherSpelling) {
  const KvScaleNames names = kv_scale_names(attention_names());
  for (const std::size_t spelling : {0u, 1u}) {
    const KvScales scales = scales_with({{names.key[spelling], 0.0625f}, {names.value[spelling], 0.25f}});
    EXPECT_EQ(scales.key, 0.0625f) << names.key[spelling];
    EXPECT_EQ(scales.value, 0.25f) << names.value[spelling];
  }
}

TEST(KvScales, NameTheTensorThatIsNoScale) {
  const KvScaleNames names = kv_scale_names(attention_names());
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    try {
      static_cast<void>(scales_with({{names.value[0], bad}}));
      ADD_FAILURE() << "took " << bad;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(names.value[0]));
    }
  }
}

}  // namespace
}  // namespace nvllm::checkpoint
