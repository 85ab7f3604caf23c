#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace nvllm::tokenizer {

/// A stretch of rendered text and where it came from. Text from a message must never become a
/// control token; text of the template may.
struct RenderedPiece {
  std::string text;
  bool from_user = false;  ///< came from a value in the request, not from the template
};

/// A checkpoint's chat template: a small interpreter of the Jinja subset that templates use, with
/// limits on steps, depth and output. It has no way to reach files, time zones or host objects.
class ChatTemplate {
 public:
  /// Reads chat_template.jinja, else tokenizer_config.json's chat_template; nullopt if neither
  /// exists.
  ///   Errors: Error(kBadFile) with the line for syntax the interpreter does not know.
  static std::optional<ChatTemplate> load(const std::filesystem::path& folder);
  /// Compiles a template text; `name` is for messages.
  explicit ChatTemplate(std::string_view source, std::string_view name = "chat template");
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// Renders with `variables` (an object: messages, add_generation_prompt, bos_token, ...).
  /// Strings that come out of `variables["messages"]`, `["tools"]` and `["documents"]` count as the
  /// user's; the template's own text and every other variable count as the template's, so a caller
  /// must not pass a request's free text under another name. `date_string` ("26 Jul 2024" or
  /// "2024-07-26") is also the day that strftime_now prints; without it that is `now`, in UTC, and
  /// without that the system's time.
  ///   Errors: Error(kUsage) with the template's own words for raise_exception and for limits
  ///   passed.
  std::vector<RenderedPiece> render(const Json& variables,
                                    std::optional<std::chrono::sys_seconds> now = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Encodes rendered pieces: template text with added tokens parsed, user text without. Otherwise
/// the pieces are one text: the ids are those of the joined text unless user text helps to spell a
/// token.
std::vector<std::int32_t> encode_pieces(const Tokenizer& tokenizer,
                                        const std::vector<RenderedPiece>& pieces);

}  // namespace nvllm::tokenizer
