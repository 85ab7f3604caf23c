#pragma once

#include <cstdint>
#include <string>

#include "tokenizer/tokenizer.h"

namespace nvllm::tokenizer {

/// Turns a stream of ids into text without ever splitting a character: bytes that may still become
/// a character are held back. The concatenation of all pushes and finish() equals decode() of all
/// ids.
class Detokenizer {
 public:
  /// Borrows the tokenizer, which must outlive this object.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  /// The text that became certain with this id; may be empty.
  std::string push(std::int32_t id);
  /// What is left at the end; an incomplete character becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace nvllm::tokenizer
