#pragma once

// Added tokens: strings that become one id wherever they stand, before any pre-tokenizer sees them.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/normalizer.h"

namespace nvllm::tokenizer {

/// One entry of tokenizer.json's added_tokens or tokenizer_config.json's added_tokens_decoder.
struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool special = false;     ///< left out when decoding skips special tokens
  bool normalized = false;  ///< looked for after normalisation instead of before

  bool operator==(const AddedToken&) const = default;
};

/// Reads both files' lists and merges them by id; `config` may be null.
///   Errors: Error(kBadFile) naming both entries where they disagree, Error(kUnsupported) for
///           single_word, lstrip or rstrip.
std::vector<AddedToken> merge_added_tokens(const Json& tokenizer_list, const Json& config);

/// Finds strings in text: leftmost first, the longest among those that start at one place.
class TokenFinder {
 public:
  /// Adds a string, which must not be empty.
  void add(std::string_view content, std::int32_t id);
  bool empty() const { return nodes_.size() == 1; }

  /// Calls `between` for each stretch without a match (with the ranges still open in it) and
  /// `token` for each match, in order. A match lies within one open range.
  ///   Cost: linear in the text for the short strings that added tokens are.
  void split(const OpenText& text, const std::function<void(const OpenText&)>& between,
             const std::function<void(std::int32_t)>& token) const;

 private:
  struct Node {
    std::int32_t id = -1;
    std::vector<std::pair<char, std::int32_t>> children;
  };
  struct Match {
    std::int32_t id = -1;
    std::size_t bytes = 0;
  };
  Match longest_at(std::string_view text) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace nvllm::tokenizer
