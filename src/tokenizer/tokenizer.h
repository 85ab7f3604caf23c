#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::tokenizer {

/// What encode does with text that spells an added token such as "<|im_end|>".
enum class AddedTokens {
  kParse,   ///< it becomes the token (raw prompts, template text)
  kAsText,  ///< it stays text (anything a user wrote inside a chat message)
};

/// What encode adds around the text.
enum class TextFrame {
  kBare,          ///< the ids of the text alone
  kPostProcessor  ///< as tokenizer.json's post-processor says (a BOS for Llama 3)
};

/// A stretch of a text, and what encode does with added tokens spelled inside it.
struct TextPart {
  std::string_view text;
  AddedTokens added = AddedTokens::kParse;
};

/// Byte-level BPE as tokenizer.json describes it. Immutable once loaded; safe to share by threads.
class Tokenizer {
 public:
  /// Reads tokenizer.json and, where present, tokenizer_config.json of a folder.
  ///   Errors: Error(kNotFound), Error(kBadFile) or Error(kUnsupported) naming the node or field.
  static Tokenizer load(const std::filesystem::path& folder);
  /// The same from memory: the texts of tokenizer.json and of tokenizer_config.json ("" if absent).
  static Tokenizer from_json(std::string_view tokenizer_json, std::string_view config_json = {});

  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Text to ids. Invalid UTF-8 is replaced by U+FFFD first.
  ///   Cost:   n log n in the longest word, else linear; constant stack.
  ///   Errors: Error(kUsage) for over 1 GiB, or a text that passes the pattern's work limit.
  std::vector<std::int32_t> encode(std::string_view text, AddedTokens added = AddedTokens::kParse,
                                   TextFrame frame = TextFrame::kBare) const;
  /// Encodes the parts as one text, except that an added token is found only where it lies within
  /// parts of kind kParse (neighbours of that kind count as one). So the ids are those of the
  /// joined text unless another part helps to spell an added token.
  std::vector<std::int32_t> encode_parts(std::span<const TextPart> parts,
                                         TextFrame frame = TextFrame::kBare) const;
  /// The bytes a token stands for (not always whole characters); empty for an id without a token.
  std::string_view bytes(std::int32_t id) const;
  /// Ids to text (ids without a token are left out), as the reference library does it: invalid
  /// sequences become U+FFFD.
  std::string decode(const std::vector<std::int32_t>& ids, bool skip_special = true) const;

  /// Whether decode leaves the token out when it skips special tokens.
  bool is_special(std::int32_t id) const;
  /// One more than the highest id that names a token.
  std::int32_t vocab_size() const;
  /// The id of an entry as the file spells it ("<|im_end|>", "Ġthe").
  std::optional<std::int32_t> id_of(std::string_view token) const;
  /// tokenizer_config.json's eos_token, bos_token, pad_token as strings ("" when absent).
  const std::string& eos_token() const;
  const std::string& bos_token() const;
  const std::string& pad_token() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nvllm::tokenizer
