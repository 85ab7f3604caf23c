#pragma once

// Small tokenizers and errors for this room's tests.

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "golden_lines.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer.h"

namespace nvllm::tokenizer {

/// A tokenizer.json whose vocabulary is the 256 bytes (id = byte), then "aa", "aaaa", "Ġa".
inline Json small_tokenizer() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    const char one = static_cast<char>(byte);
    vocab[entry_of_bytes({&one, 1})] = byte;
  }
  vocab["aa"] = 256;
  vocab["aaaa"] = 257;
  vocab
      ["\xc4\xa0"
       "a"] = 258;
  Json added = Json::array();
  const auto add = [&](int id, const char* content, bool special) {
    added.push_back({{"id", id},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  };
  add(300, "<|end|>", true);
  add(301, "<|start|>", true);
  add(302, "<think>", false);
  return {
      {"version", "1.0"},
      {"truncation", {{"max_length", 4}}},
      {"padding", {{"strategy", "ignored"}}},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"},
        {"byte_fallback", false},
        {"vocab", vocab},
        {"merges", Json::array({"a a", Json::array({"aa", "aa"}), "\xc4\xa0 a"})}}}};
}

inline Tokenizer load(const Json& tokenizer, const std::string& config = "") {
  return Tokenizer::from_json(dump_json(tokenizer), config);
}

/// Expects that `action` throws an Error of this kind whose message holds every given word.
template <class Action>
void expect_refusal(Action action, ErrorKind kind, std::initializer_list<const char*> words) {
  try {
    action();
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    for (const char* word : words) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos)
          << "'" << word << "' is not in: " << error.what();
    }
  }
}

}  // namespace nvllm::tokenizer
