#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/parsers/reply_part.h"
#include "server/parsers/think_splitter.h"
#include "server/parsers/tool_call_parser.h"

namespace nvllm::server {

/// How one reply is written.
struct ReplySyntax {
  std::optional<ThinkingStart> thinking{};  ///< nothing: thoughts are not told from the rest
  CallFormat calls = CallFormat::kNone;     ///< kNone: calls are not looked for
  CallCount call_count = CallCount::kAny;
  std::shared_ptr<const ToolSchemas> tools{};
  /// What of a call the prompt has written already. Thinking is over then.
  std::string opening{};
};

/// Reads a reply while it arrives in pieces: thoughts, content, calls. The parts, put together, do
/// not depend on the cuts between pieces.
class ReplyReader {
 public:
  explicit ReplyReader(const ReplySyntax& syntax);

  /// What became certain with this text.
  std::vector<ReplyPart> push(std::string_view text);
  /// The end of the reply: whatever was held back.
  std::vector<ReplyPart> finish(ReplyEnd end);
  bool thinking() const { return splitter_ && splitter_->thinking(); }

 private:
  void take(const ThoughtAndSpeech& text, std::vector<ReplyPart>& parts);

  std::optional<ThinkSplitter> splitter_;
  ToolCallParser calls_;
  std::vector<ReplyPart> early_;  ///< of the prompt's opening; told with the first text
};

}  // namespace nvllm::server
