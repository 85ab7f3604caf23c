#pragma once

// A template's source as tokens, with trim_blocks and lstrip_blocks on.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::tokenizer {

/// One token of a template.
struct TemplateToken {
  enum class Kind {
    kText,
    kBlockBegin,
    kBlockEnd,
    kPrintBegin,
    kPrintEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  int line = 0;
  std::string text;          ///< the text, name, string's content or operator
  std::int64_t integer = 0;  ///< for kInteger
  double real = 0;           ///< for kFloat

  bool is(Kind wanted, std::string_view wanted_text) const {
    return kind == wanted && text == wanted_text;
  }
};

/// Cuts a template's source into tokens; the last is kEnd.
///   Errors: Error(kBadFile) with the line.
std::vector<TemplateToken> tokenize_template(std::string_view source, std::string_view name);

}  // namespace nvllm::tokenizer
