#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"
#include "tokenizer/bpe.h"

namespace nvllm::tokenizer {
namespace {

using testing::ElementsAre;
using Ids = std::vector<std::int32_t>;

TEST(Tokenizer, MergesTheLowestRankFirstAndTheLeftmostAmongEquals) {
  const Tokenizer tokenizer = load(small_tokenizer());
  EXPECT_THAT(tokenizer.encode("aaa"), ElementsAre(256, 'a'));
  EXPECT_THAT(tokenizer.encode("aaaaa"), ElementsAre(257, 'a'));
  EXPECT_THAT(tokenizer.encode("b a"), ElementsAre('b', 258));
}

TEST(Tokenizer, EmptyTextHasNoIds) {
  EXPECT_TRUE(load(small_tokenizer()).encode("").empty());
  EXPECT_EQ(load(small_tokenizer()).decode({}), "");
}

TEST(Tokenizer, AddedTokensAreParsedOrStayTextAsAsked) {
  const Tokenizer tokenizer = load(small_tokenizer());
  EXPECT_THAT(tokenizer.encode("x<|end|>y"), ElementsAre('x', 300, 'y'));
  for (const std::int32_t id : tokenizer.encode("x<|end|>y", AddedTokens::kAsText))
    EXPECT_LT(id, 259);
}

TEST(Tokenizer, InvalidUtf8BecomesTheReplacementCharacterBeforeEncoding) {
  const Tokenizer tokenizer = load(small_tokenizer());
  EXPECT_EQ(tokenizer.encode("a\xff\xe4\xbd"), tokenizer.encode("a\xef\xbf\xbd\xef\xbf\xbd"));
}

TEST(Tokenizer, DecodeSkipsSpecialTokensOnRequestAndUnknownIdsAlways) {
  const Tokenizer tokenizer = load(small_tokenizer());
  const Ids ids = {'x', 300, 302, 270, -1, 99999, 'y'};
  EXPECT_EQ(tokenizer.decode(ids), "x<think>y");
  EXPECT_EQ(tokenizer.decode(ids, false), "x<|end|><think>y");
  EXPECT_EQ(tokenizer.bytes(270), "");
  EXPECT_EQ(tokenizer.bytes(-5), "");
  EXPECT_FALSE(tokenizer.is_special(-5));
  EXPECT_EQ(tokenizer.vocab_size(), 303);
}

TEST(Tokenizer, ReadsNamesOfSpecialTokensFromStringsAndObjects) {
  const Tokenizer tokenizer =
      load(small_tokenizer(), R"({"eos_token":"<|end|>","bos_token":{"content":"<|start|>"}})");
  EXPECT_EQ(tokenizer.eos_token(), "<|end|>");
  EXPECT_EQ(tokenizer.bos_token(), "<|start|>");
  EXPECT_EQ(tokenizer.pad_token(), "");
  EXPECT_EQ(tokenizer.id_of(tokenizer.eos_token()), 300);
  EXPECT_EQ(tokenizer.id_of("nothing"), std::nullopt);
}

TEST(Tokenizer, PartsAreOneTextButForTheTokensThatUserTextSpells) {
  const Tokenizer tokenizer = load(small_tokenizer());
  const auto encode = [&](std::initializer_list<TextPart> parts) {
    return tokenizer.encode_parts(std::vector<TextPart>(parts));
  };
  const auto kUser = AddedTokens::kAsText;
  EXPECT_EQ(encode({{"a"}, {"aa", kUser}, {"a<|end|>"}}), (Ids{257, 300}));
  EXPECT_EQ(encode({{"<|en"}, {"d|>"}}), (Ids{300})) << "neighbouring template parts are one";
  const Ids plain = tokenizer.encode("<|end|>", kUser);
  EXPECT_EQ(encode({{"<|end|>", kUser}}), plain);
  EXPECT_EQ(encode({{"<|en"}, {"d|>", kUser}}), plain);
  EXPECT_EQ(encode({{"<|en", kUser}, {"d|>"}}), plain);
  EXPECT_EQ(encode({{"<|"}, {"e", kUser}, {"nd|>"}}), plain);
  EXPECT_EQ(encode({{"<|end|"}, {"", kUser}, {">"}}), (Ids{300}));
}

TEST(Tokenizer, NormalizedAddedTokensAreFoundOnlyInTemplateText) {
  Json json = small_tokenizer();
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array({{{"type", "NFC"}}})}};
  json["added_tokens"].push_back(
      {{"id", 310}, {"content", "caf\xc3\xa9"}, {"normalized", true}, {"special", false}});
  const Tokenizer tokenizer = load(json);
  const std::string decomposed = "cafe\xcc\x81";
  EXPECT_THAT(tokenizer.encode(decomposed), ElementsAre(310));
  EXPECT_EQ(tokenizer.encode(decomposed, AddedTokens::kAsText).size(), 5u);
  const std::vector<TextPart> parts = {{"<|end|>caf"}, {"e\xcc\x81", AddedTokens::kAsText}};
  EXPECT_EQ(tokenizer.encode_parts(parts).size(), 6u);
  const std::vector<TextPart> accent = {{"cafe"}, {"\xcc\x81", AddedTokens::kAsText}};
  EXPECT_EQ(tokenizer.encode_parts(accent).size(), 5u);
  const std::vector<TextPart> around = {
      {"x", AddedTokens::kAsText}, {decomposed}, {"y", AddedTokens::kAsText}};
  EXPECT_THAT(tokenizer.encode_parts(around), ElementsAre('x', 310, 'y'));
}

TEST(Tokenizer, AnAddedTokenNeverMatchesInsideUserTextOfAnyFamily) {
  for (const char* family : {"qwen3", "qwen35", "llama3", "smollm2", "demo"}) {
    const Tokenizer tokenizer = Tokenizer::load(kGolden / family);
    for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
      if (!tokenizer.is_special(id)) continue;
      const std::string content(tokenizer.bytes(id));
      EXPECT_THAT(tokenizer.encode(content), ElementsAre(id));
      EXPECT_THAT(tokenizer.encode(content, AddedTokens::kAsText),
                  testing::Not(testing::Contains(id)));
    }
  }
}

/// How often the heap is popped for a run of `count` letters.
std::int64_t pops(std::size_t count) {
  std::array<std::int32_t, 256> ids{};
  for (int i = 0; i < 256; ++i) ids[static_cast<std::size_t>(i)] = i;
  MergeTable merges(20);
  std::int32_t token = 'a';
  for (std::int32_t rank = 0; rank < 20; ++rank) {
    merges.set(token, token, {rank, 256 + rank});
    token = 256 + rank;
  }
  MergeScratch scratch;
  std::vector<std::int32_t> out;
  merge_word(std::string(count, 'a'), ids, merges, scratch, out);
  return scratch.heap_pops;
}

TEST(Tokenizer, MergingOneLongRunTakesWorkInProportionToItsLength) {
  const std::int64_t small = pops(1 << 16);
  const std::int64_t large = pops(1 << 20);
  EXPECT_LE(large, 17 * small);
  EXPECT_LE(large, 4 << 20);
}

TEST(Tokenizer, ALongRunOfEachClassIsEncodedWithoutReachingALimit) {
  for (const char* family : {"qwen35", "llama3", "smollm2"}) {
    const Tokenizer tokenizer = Tokenizer::load(kGolden / family);
    for (const std::string unit : {"a",
                                   "A",
                                   "1",
                                   " ",
                                   "\n",
                                   " \n",
                                   "\t",
                                   "'",
                                   "'s",
                                   "!",
                                   "\xc3\xa9",
                                   "\xcc\x81",
                                   "\xcc\x81\xcc\xa3",
                                   "\xe0\xb8\x81",
                                   "\xe4\xbd\xa0",
                                   "\xe3\x80\x80",
                                   "\xf0\x9f\x98\x80",
                                   "\x01",
                                   "\xe2\x80\x8d",
                                   "\xef\xbf\xbd",
                                   "\xff",
                                   "<|im_end"}) {
      std::string text;
      while (text.size() < (1 << 17)) text += unit;
      const Ids ids = tokenizer.encode(text);
      EXPECT_FALSE(ids.empty()) << unit;
      const Ids with_end = tokenizer.encode(text + "x");
      EXPECT_FALSE(with_end.empty()) << unit;
    }
  }
}

TEST(TokenizerFile, MissingFolderIsNotFound) {
  expect_refusal([] { Tokenizer::load("/nowhere/at/all"); }, ErrorKind::kNotFound,
                 {"tokenizer.json"});
}

TEST(TokenizerFile, PaddingAndTruncationAreIgnored) {
  EXPECT_EQ(load(small_tokenizer()).encode("bcdefgh").size(), 7u);
}

TEST(TokenizerFile, UnsupportedNodesAreRefusedByName) {
  const auto refuses = [](const char* pointer, Json value,
                          std::initializer_list<const char*> words) {
    Json json = small_tokenizer();
    json[Json::json_pointer(pointer)] = std::move(value);
    expect_refusal([&] { load(json); }, ErrorKind::kUnsupported, words);
  };
  refuses("/model/byte_fallback", true, {"byte_fallback"});
  refuses("/model/type", "Unigram", {"model", "Unigram"});
  refuses("/model/dropout", 0.1, {"dropout"});
  refuses("/model/end_of_word_suffix", "</w>", {"end_of_word_suffix"});
  refuses("/normalizer", {{"type", "NFKC"}}, {"normalizer", "NFKC"});
  refuses("/pre_tokenizer", {{"type", "Metaspace"}}, {"pre_tokenizer", "Metaspace"});
  refuses("/pre_tokenizer", nullptr, {"pre_tokenizer"});
  refuses("/decoder", {{"type", "Metaspace"}}, {"decoder", "Metaspace"});
  refuses("/decoder", nullptr, {"decoder"});
  refuses("/post_processor", {{"type", "BertProcessing"}}, {"post_processor", "BertProcessing"});
  refuses("/added_tokens/0/lstrip", true, {"lstrip", "<|end|>"});
  refuses("/added_tokens/0/single_word", true, {"single_word", "<|end|>"});
  const auto split = [](const char* behavior, const char* regex) {
    const Json node = {{"type", "Split"},
                       {"pattern", {{"Regex", regex}}},
                       {"behavior", behavior},
                       {"invert", false}};
    return Json{{"type", "Sequence"},
                {"pretokenizers", Json::array({node, {{"type", "ByteLevel"}}})}};
  };
  refuses("/pre_tokenizer", split("Removed", "a"), {"Split", "Removed"});
  for (const char* regex :
       {"\\w+", "^a", "a$", "[a[b]]", "[a&&b]", "a{2}+", "(?<name>a)", "\\h", "(*UTF)a"}) {
    refuses("/pre_tokenizer", split("Isolated", regex), {"pattern", regex});
  }
}

TEST(TokenizerFile, BrokenFilesAreRefusedWithTheEntry) {
  const auto refuses = [](const char* pointer, Json value,
                          std::initializer_list<const char*> words) {
    Json json = small_tokenizer();
    json[Json::json_pointer(pointer)] = std::move(value);
    expect_refusal([&] { load(json); }, ErrorKind::kBadFile, words);
  };
  refuses("/model/merges/0", "a nope", {"merges", "nope"});
  refuses("/model/merges/0", "a b", {"merges", "'ab'"});
  refuses("/model/merges/0", "aa", {"merge 0", "'aa'"});
  refuses("/model/merges/0", "a a a", {"merge 0", "a a a"});
  refuses("/model/merges/1", Json::array({"a"}), {"merge 1"});
  refuses("/model/merges/1", Json::array({"a", "a", "a"}), {"merges", "1"});
  refuses("/model/merges/1", Json::array({"a", 7}), {"merges", "1"});
  refuses("/model/merges/1", 7, {"merges", "1"});
  refuses("/model/vocab/aa", -1, {"'aa'", "-1"});
  refuses("/model/vocab/aa", 97, {"97", "'aa'", "'a'"});
  refuses("/model/vocab/aa", 4'000'000'000ll, {"'aa'", "4000000000"});
  refuses("/model/vocab/aa", "one", {"'aa'"});
  refuses("/model/vocab/aa", 1.5, {"'aa'"});
  refuses("/model/vocab/aa", Json::object(), {"'aa'"});
  refuses("/model", nullptr, {"model"});
  refuses("/model/vocab", Json::object(), {"vocab"});
  refuses("/added_tokens/0/id", 'a', {"<|end|>", "97"});
  refuses("/added_tokens/1/id", 300, {"300", "<|end|>", "<|start|>"});
  refuses("/added_tokens/1/content", "<|end|>", {"<|end|>", "300", "301"});
  refuses("/added_tokens/1/content", "", {"301"});
  refuses("/added_tokens/1/content", "aa", {"'aa'", "301", "256"});
  refuses("/post_processor",
          {{"type", "TemplateProcessing"},
           {"single", Json::array({{{"SpecialToken", {{"id", "<s>"}}}}})}},
          {"<s>"});
  expect_refusal([] { Tokenizer::from_json("{"); }, ErrorKind::kBadFile, {"tokenizer.json"});
  expect_refusal([] { Tokenizer::from_json(""); }, ErrorKind::kBadFile, {"tokenizer.json"});
  expect_refusal([] { Tokenizer::from_json("[]"); }, ErrorKind::kBadFile, {"tokenizer.json"});
  expect_refusal([] { Tokenizer::from_json(std::string(100'000, '[')); }, ErrorKind::kBadFile,
                 {"nested"});
  std::string twice = dump_json(small_tokenizer());
  twice.insert(twice.find("\"aa\":256"), "\"aa\":400,");
  expect_refusal([&] { Tokenizer::from_json(twice); }, ErrorKind::kBadFile, {"'aa'", "twice"});
  expect_refusal([] { Tokenizer::from_json(R"({"model":{"vocab":{"a":0},"vocab":{"b":1}}})"); },
                 ErrorKind::kBadFile, {"vocab", "twice"});
}

TEST(TokenizerFile, AddedTokensOfBothFilesAreMergedAndConflictsNameBoth) {
  const char* kMore = R"({"added_tokens_decoder":{"305":{"content":"<|more|>","special":true},
                          "300":{"content":"<|end|>","special":true,"normalized":false}}})";
  EXPECT_THAT(load(small_tokenizer(), kMore).encode("<|more|><|end|>"), ElementsAre(305, 300));
  const auto refuses = [](const char* config, std::initializer_list<const char*> words) {
    expect_refusal([&] { load(small_tokenizer(), config); }, ErrorKind::kBadFile, words);
  };
  refuses(R"({"added_tokens_decoder":{"300":{"content":"<|other|>","special":true}}})",
          {"<|other|>", "<|end|>"});
  refuses(R"({"added_tokens_decoder":{"309":{"content":"<|end|>","special":true}}})",
          {"<|end|>", "309", "300"});
  refuses(R"({"added_tokens_decoder":{"x":{"content":"<|end|>"}}})", {"'x'"});
  refuses(R"({"added_tokens_decoder":[]})", {"added_tokens_decoder"});
  refuses(R"({"eos_token":7})", {"eos_token"});
}

TEST(TokenizerFile, APatternThatNeedsTooMuchWorkIsAnErrorAndNotOtherIds) {
  Json json = small_tokenizer();
  const Json node = {
      {"type", "Split"}, {"pattern", {{"Regex", "(?:a|a)*b|x"}}}, {"behavior", "Isolated"}};
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers", Json::array({node, {{"type", "ByteLevel"}, {"use_regex", false}}})}};
  const Tokenizer tokenizer = load(json);
  expect_refusal([&] { tokenizer.encode(std::string(60, 'a')); }, ErrorKind::kUsage,
                 {"work limit"});
}

}  // namespace
}  // namespace nvllm::tokenizer
