#pragma once

// tokenizer.json as values. The vocabulary and the merges, a million JSON values, are kept out of
// the document tree: as a tree they would cost quadratic time (an ordered object is a list) and
// memory.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace nvllm::tokenizer {

/// One merge rule as the file spells it.
struct MergeRule {
  std::string left;
  std::string right;
};

/// The content of a tokenizer.json. Only its shape is checked here, not what it means.
struct TokenizerFile {
  Json root;  ///< everything but model.vocab and model.merges
  std::vector<std::pair<std::string, std::int32_t>> vocab;
  std::vector<MergeRule> merges;
};

/// Parses tokenizer.json.
///   Errors: Error(kBadFile) naming the entry for malformed JSON, ids or merges, or a limit passed.
TokenizerFile parse_tokenizer_file(std::string_view text, std::string_view name);

}  // namespace nvllm::tokenizer
