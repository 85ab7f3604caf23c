#pragma once

// Cuts text into the words within which byte pairs merge.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/regex.h"

namespace nvllm::tokenizer {

/// tokenizer.json's "pre_tokenizer" node: a list of splits that ends with ByteLevel.
class PreTokenizer {
 public:
  /// Errors: Error(kUnsupported) naming a node or option that is not known, Error(kBadFile) for a
  ///         node without its fields.
  explicit PreTokenizer(const Json& node);

  /// Calls `word` for each word of a valid UTF-8 text, in order.
  ///   Errors: Error(kUsage) if a pattern passes its work limit.
  void split(std::string_view text, Regex::Scratch& scratch,
             const std::function<void(std::string_view)>& word) const;

 private:
  void add(const Json& node, int depth);
  void run(std::size_t step, std::string_view text, Regex::Scratch& scratch,
           const std::function<void(std::string_view)>& word) const;

  std::vector<Regex> splits_;
  bool byte_level_ = false;
  bool prefix_space_ = false;
  std::size_t splits_before_byte_level_ = 0;
};

}  // namespace nvllm::tokenizer
