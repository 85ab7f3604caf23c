#include "server/parsers/reply_reader.h"

#include <utility>

namespace nvllm::server {
namespace {

/// What, at the beginning of a line of thoughts, is a call and no thought any more.
std::string call_in_thoughts(CallFormat format) {
  return format == CallFormat::kHermes ? "<tool_call>\n{" : call_opening(format);
}

}  // namespace

ReplyReader::ReplyReader(const ReplySyntax& syntax)
    : calls_(syntax.calls, syntax.tools, syntax.call_count) {
  if (syntax.thinking) splitter_.emplace(*syntax.thinking, call_in_thoughts(syntax.calls));
  calls_.push(syntax.opening, early_);
}

void ReplyReader::take(const ThoughtAndSpeech& text, std::vector<ReplyPart>& parts) {
  add_part(parts, {ReplyPart::Kind::kReasoning, text.reasoning});
  calls_.push(text.content, parts);
}

std::vector<ReplyPart> ReplyReader::push(std::string_view text) {
  std::vector<ReplyPart> parts = std::exchange(early_, {});
  if (splitter_) {
    take(splitter_->push(text), parts);
  } else {
    calls_.push(text, parts);
  }
  return parts;
}

std::vector<ReplyPart> ReplyReader::finish(ReplyEnd end) {
  std::vector<ReplyPart> parts = std::exchange(early_, {});
  if (splitter_) take(splitter_->finish(), parts);
  calls_.finish(end, parts);
  return parts;
}

}  // namespace nvllm::server
