// Ids and texts against Hugging Face `tokenizers`: 20,000 generated lines and 2,000 random id
// streams for each of five tokenizers (tools/golden/tokenizer.py).

#include <gtest/gtest.h>

#include "golden_lines.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/tokenizer.h"

namespace nvllm::tokenizer {
namespace {

constexpr std::int64_t kPerHash = 100;
constexpr std::int64_t kStreams = 2000;

std::string joined(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text.append(text.empty() ? "" : ",").append(std::to_string(id));
  return text + "\n";
}

std::vector<std::int32_t> stream(std::int64_t index, std::uint64_t vocab_size) {
  Draw draw(1'000'000 + static_cast<std::uint64_t>(index));
  std::vector<std::int32_t> ids;
  for (std::uint64_t left = draw.below(24); left > 0; --left) {
    const std::uint64_t bound = draw.below(2) != 0 ? 300 : vocab_size;
    ids.push_back(static_cast<std::int32_t>(draw.below(bound)));
  }
  return ids;
}

class Golden : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path name_ = GetParam();
  Json alphabets_ = golden_json("alphabets.json");
  Json vectors_ = golden_json(name_ / "vectors.json");
  Tokenizer tokenizer_ = Tokenizer::load(kGolden / name_);
};

TEST_P(Golden, VocabularyHasTheReferencesSize) {
  EXPECT_EQ(tokenizer_.vocab_size(), vectors_.at("vocab_size").get<std::int32_t>());
}

TEST_P(Golden, EncodesTheLinesGivenInFullAsTheReference) {
  const Json& full = vectors_.at("encode_full");
  const Json& framed = vectors_.at("encode_framed");
  for (std::size_t i = 0; i < full.size(); ++i) {
    const std::string text = golden_line(alphabets_, i);
    EXPECT_EQ(tokenizer_.encode(text), full[i].get<std::vector<std::int32_t>>()) << text;
    EXPECT_EQ(tokenizer_.encode(text, AddedTokens::kParse, TextFrame::kPostProcessor),
              framed[i].get<std::vector<std::int32_t>>())
        << text;
  }
}

TEST_P(Golden, EncodesTwentyThousandLinesAsTheReference) {
  const Json& hashes = vectors_.at("encode_sha256");
  ASSERT_EQ(hashes.size(), 200u);
  std::size_t different = 0;
  for (std::size_t group = 0; group < hashes.size(); ++group) {
    std::string ids;
    for (std::int64_t i = 0; i < kPerHash; ++i) {
      ids += joined(tokenizer_.encode(golden_line(alphabets_, group * kPerHash + i)));
    }
    if (sha256_hex(ids) != hashes[group].get<std::string>()) {
      ++different;
      EXPECT_EQ(different, 0u) << "lines " << group * kPerHash << " to "
                               << (group + 1) * kPerHash - 1;
    }
  }
}

TEST_P(Golden, DecodesRandomIdsAsTheReference) {
  for (const bool skip : {true, false}) {
    const Json& hashes = vectors_.at(skip ? "decode_skip_sha256" : "decode_keep_sha256");
    for (const Json& one : vectors_.at("decode_full")) {
      const auto ids = one[0].get<std::vector<std::int32_t>>();
      EXPECT_EQ(tokenizer_.decode(ids, skip), one[skip ? 1 : 2].get<std::string>());
    }
    for (std::size_t group = 0; group < hashes.size(); ++group) {
      std::string texts;
      for (std::int64_t i = 0; i < kPerHash; ++i) {
        const auto ids = stream(static_cast<std::int64_t>(group) * kPerHash + i,
                                static_cast<std::uint64_t>(tokenizer_.vocab_size()));
        texts += tokenizer_.decode(ids, skip) + std::string("\0\n", 2);
      }
      EXPECT_EQ(sha256_hex(texts), hashes[group].get<std::string>()) << "group " << group;
    }
  }
}

TEST_P(Golden, DetokenizerGivesWhatDecodeGives) {
  for (std::int64_t i = 0; i < kStreams; ++i) {
    const auto ids = stream(i, static_cast<std::uint64_t>(tokenizer_.vocab_size()));
    for (const bool skip : {true, false}) {
      Detokenizer detokenizer(tokenizer_, skip);
      std::string text;
      for (const std::int32_t id : ids) {
        const std::string piece = detokenizer.push(id);
        EXPECT_TRUE(is_utf8(piece));
        text += piece;
      }
      text += detokenizer.finish();
      EXPECT_EQ(text, tokenizer_.decode(ids, skip));
    }
  }
}

TEST_P(Golden, TextSurvivesEncodingAndDecodingUpToNormalisation) {
  const bool normalizes = name_ == "qwen3" || name_ == "qwen35" || name_ == "demo";
  for (std::uint64_t i = 0; i < 500; ++i) {
    const std::string text = golden_line(alphabets_, 500'000 + i);
    const auto ids = tokenizer_.encode(text, AddedTokens::kAsText);
    EXPECT_EQ(tokenizer_.decode(ids, false), normalizes ? nfc(text) : text);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Golden,
                         testing::Values("qwen3", "qwen35", "llama3", "smollm2", "demo"),
                         [](const auto& suite) { return std::string(suite.param); });

}  // namespace
}  // namespace nvllm::tokenizer
