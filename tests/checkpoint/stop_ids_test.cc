#include "checkpoint/stop_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/safetensors_builder.h"
#include "support/temp_folder.h"

namespace nvllm::checkpoint {
namespace {

using ::nvllm::testing::TempFolder;
using ::nvllm::testing::write_text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kTokenizer = R"({"added_tokens":[{"id":7,"content":"<end>","special":true}],
  "model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[["a","b"]]}})";

class StopIds : public ::testing::Test {
 protected:
  StopIds() {
    config_.vocab_size = 10;
    config_.eos_ids = {3};
  }
  void file(const std::string& name, std::string_view text) { write_text(folder_ / name, text); }
  std::vector<std::int32_t> ids() { return read_stop_ids(folder_.path(), config_); }
  std::string refusal() {
    try {
      ids();
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  TempFolder folder_;
  ModelConfig config_;
};

TEST_F(StopIds, FallBackToTheConfig) { EXPECT_THAT(ids(), ElementsAre(3)); }

TEST_F(StopIds, JoinGenerationConfigAndTokenizer) {
  file("generation_config.json", R"({"eos_token_id":[5,2]})");
  EXPECT_THAT(ids(), ElementsAre(2, 5));
  file("tokenizer.json", kTokenizer);
  file("tokenizer_config.json", R"({"eos_token":{"content":"<end>","lstrip":false}})");
  EXPECT_THAT(ids(), ElementsAre(2, 5, 7));
  file("tokenizer_config.json", R"({"eos_token":"b"})");
  EXPECT_THAT(ids(), ElementsAre(1, 2, 5));
  file("tokenizer_config.json", R"({"eos_token":null})");
  file("generation_config.json", R"({"eos_token_id":4})");
  EXPECT_THAT(ids(), ElementsAre(4));
}

TEST_F(StopIds, RefuseATokenizerOfAnotherModel) {
  file("tokenizer.json", kTokenizer);
  config_.vocab_size = 7;
  EXPECT_THAT(refusal(), HasSubstr("token '<end>' has the id 7, but the model's vocab_size is 7"));
  config_.vocab_size = 8;
  EXPECT_EQ(refusal(), "");
  file("tokenizer_config.json", R"({"eos_token":"</s>"})");
  EXPECT_THAT(refusal(), HasSubstr("eos_token '</s>' is not in"));
}

TEST_F(StopIds, RefuseIdsThatAreNone) {
  for (const char* ids :
       {"10", "-1", "1.5", "\"a\"", "[1,[2]]", "{}", "4294967296", "18446744073709551615"}) {
    file("generation_config.json", std::string(R"({"eos_token_id":)") + ids + "}");
    EXPECT_THAT(refusal(), HasSubstr("'eos_token_id' is")) << ids;
  }
  file("generation_config.json", "[]");
  EXPECT_THAT(refusal(), HasSubstr("is not a JSON object"));
  file("generation_config.json", "{}");
  file("tokenizer_config.json", R"({"eos_token":5})");
  EXPECT_THAT(refusal(), HasSubstr("'eos_token' is 5, wanted a string"));
}

TEST(TokenizerFacts, RefuseIdsThatAreNone) {
  for (const char* id : {"-1", "1.5", "\"x\"", "null", "true", "4294967296", "1e99"}) {
    const std::string vocabulary = std::string(R"({"model":{"vocab":{"a":)") + id + "}}}";
    EXPECT_THROW(read_tokenizer_facts(vocabulary, "t", ""), Error) << id;
    const std::string added = std::string(R"({"added_tokens":[{"content":"a","id":)") + id + "}]}";
    EXPECT_THROW(read_tokenizer_facts(added, "t", ""), Error) << id;
  }
  EXPECT_THROW(read_tokenizer_facts(R"({"added_tokens":[{"content":"a"}]})", "t", ""), Error);
  EXPECT_THROW(read_tokenizer_facts(std::string(100000, '['), "t", ""), Error);
  EXPECT_EQ(read_tokenizer_facts("{}", "t", "").largest_id, -1);
}

TEST(TokenizerFacts, ReadALargeVocabularyInOnePass) {
  std::string text = R"({"model":{"vocab":{)";
  constexpr int kTokens = 250'000;
  for (int i = 0; i < kTokens; ++i) {
    text += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) + "\":" + std::to_string(i);
  }
  const TokenizerFacts facts = read_tokenizer_facts(text + "}}}", "t", "t777");
  EXPECT_EQ(facts.largest_id, kTokens - 1);
  EXPECT_EQ(facts.wanted_id, 777);
}

}  // namespace
}  // namespace nvllm::checkpoint
