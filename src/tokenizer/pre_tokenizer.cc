// Every node becomes a pattern whose matches and gaps are both kept ("isolated"), so the whole tree
// is one list of patterns, each run over the pieces of the one before.

#include "tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include "tokenizer/json_fields.h"

namespace nvllm::tokenizer {

namespace {

constexpr std::string_view kWhere = "tokenizer.json: pre_tokenizer";
constexpr int kDepthMax = 8;

/// ByteLevel's own pattern (GPT-2), used where the node does not switch it off.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::string split_pattern(const Json& node) {
  const std::string where = fmt::format("{} Split", kWhere);
  const std::string behavior = string_field(node, "behavior", where);
  if (behavior != "Isolated") {
    unsupported(where, fmt::format("behavior '{}'", behavior), "behavior 'Isolated'");
  }
  if (bool_field(node, "invert", false, where)) unsupported(where, "invert: true", "invert: false");
  const auto pattern = node.find("pattern");
  if (pattern == node.end() || !pattern->is_object()) bad_file(where, "field 'pattern' is missing");
  if (!pattern->contains("Regex")) unsupported(where, "a pattern without 'Regex'", "a regex");
  return string_field(*pattern, "Regex", where);
}

}  // namespace

PreTokenizer::PreTokenizer(const Json& node) {
  if (node.is_null()) unsupported(kWhere, "null", "a pre_tokenizer that ends with ByteLevel");
  add(node, 0);
  if (!byte_level_)
    unsupported(kWhere, "a pre_tokenizer without ByteLevel", "ByteLevel as its last");
}

void PreTokenizer::add(const Json& node, int depth) {
  if (depth > kDepthMax) bad_file(kWhere, fmt::format("nested deeper than {}", kDepthMax));
  const std::string type = type_of(node, kWhere);
  if (byte_level_) unsupported(kWhere, fmt::format("'{}' after ByteLevel", type), "ByteLevel last");
  if (type == "Sequence") {
    for (const Json& child : array_field(node, "pretokenizers", kWhere)) add(child, depth + 1);
  } else if (type == "Split") {
    splits_.emplace_back(split_pattern(node));
  } else if (type == "Digits") {
    splits_.emplace_back(bool_field(node, "individual_digits", false, kWhere) ? R"(\p{N})"
                                                                              : R"(\p{N}+)");
  } else if (type == "ByteLevel") {
    byte_level_ = true;
    prefix_space_ = bool_field(node, "add_prefix_space", true, kWhere);
    splits_before_byte_level_ = splits_.size();
    if (bool_field(node, "use_regex", true, kWhere)) splits_.emplace_back(kByteLevelPattern);
  } else {
    unsupported(kWhere, fmt::format("type '{}'", type), "Sequence, Split, Digits and ByteLevel");
  }
}

void PreTokenizer::split(std::string_view text, Regex::Scratch& scratch,
                         const std::function<void(std::string_view)>& word) const {
  if (!text.empty()) run(0, text, scratch, word);
}

void PreTokenizer::run(std::size_t step, std::string_view text, Regex::Scratch& scratch,
                       const std::function<void(std::string_view)>& word) const {
  std::string spaced;
  if (prefix_space_ && step == splits_before_byte_level_ && text.front() != ' ') {
    spaced.reserve(text.size() + 1);
    spaced += ' ';
    spaced += text;
    text = spaced;
  }
  if (step == splits_.size()) {
    word(text);
    return;
  }
  // The match data is free again before each piece is handed on, so the steps can share it.
  splits_[step].split(text, scratch,
                      [&](std::string_view piece) { run(step + 1, piece, scratch, word); });
}

}  // namespace nvllm::tokenizer
