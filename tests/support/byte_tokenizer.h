#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace nvllm::testing {

inline constexpr std::int32_t kEndId = 256;        ///< "<|end|>", special: the end of a sequence
inline constexpr std::int32_t kTurnStartId = 257;  ///< "<|im_start|>", special
inline constexpr std::int32_t kTurnEndId = 258;    ///< "<|im_end|>", special
inline constexpr std::int32_t kByteVocabSize = 259;
inline constexpr std::int32_t kThinkOpenId = 259;   ///< "<think>", where it is asked for
inline constexpr std::int32_t kThinkCloseId = 260;  ///< "</think>"

/// The character that byte-level vocabularies write for a byte.
inline std::string byte_character(int byte) {
  const auto shown = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  int code = byte;
  if (!shown(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += shown(b) ? 0 : 1;
  }
  if (code < 128) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

/// A tokenizer whose id for a byte is the byte: characters of several bytes are several tokens, so
/// every split that can go wrong does occur.
/// `more` are added tokens behind the others, with whether each is special.
inline tokenizer::Tokenizer make_byte_tokenizer(
    const std::vector<std::pair<std::string, bool>>& more = {}) {
  Json file;
  file["version"] = "1.0";
  file["added_tokens"] = Json::array();
  std::vector<std::pair<std::string, bool>> added = {
      {"<|end|>", true}, {"<|im_start|>", true}, {"<|im_end|>", true}};
  added.insert(added.end(), more.begin(), more.end());
  for (std::size_t i = 0; i < added.size(); ++i) {
    file["added_tokens"].push_back({{"id", 256 + i},
                                    {"content", added[i].first},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", false},
                                    {"special", added[i].second}});
  }
  file["normalizer"] = nullptr;
  file["pre_tokenizer"] = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  file["post_processor"] = nullptr;
  file["decoder"] = {{"type", "ByteLevel"},
                     {"add_prefix_space", true},
                     {"trim_offsets", true},
                     {"use_regex", true}};
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[byte_character(byte)] = byte;
  file["model"] = {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}};
  const auto folder = std::filesystem::temp_directory_path() /
                      ("nvllm-byte-tokenizer-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "tokenizer.json") << dump_json(file);
  std::ofstream(folder / "tokenizer_config.json") << R"({"eos_token":"<|end|>"})";
  auto loaded = tokenizer::Tokenizer::load(folder);
  std::filesystem::remove_all(folder);
  return loaded;
}

/// The same with the tags of thoughts as tokens; one of them is special, since both kinds exist.
inline tokenizer::Tokenizer make_thinking_tokenizer() {
  return make_byte_tokenizer({{"<think>", false}, {"</think>", true}});
}

/// The ids of a text under make_byte_tokenizer.
inline std::vector<std::int32_t> byte_ids(std::string_view text) {
  std::vector<std::int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

}  // namespace nvllm::testing
