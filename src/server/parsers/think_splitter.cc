#include "server/parsers/think_splitter.h"

#include <algorithm>
#include <utility>

#include "server/parsers/held_text.h"

namespace nvllm::server {

/// Waits for <think> or for anything else.  Returns: whether the state has changed.
bool ThinkSplitter::open() {
  const std::size_t at = pending_.find_first_not_of(kWhiteSpace);
  if (at == std::string::npos) return false;
  const std::string_view rest = std::string_view(pending_).substr(at);
  if (rest.starts_with(kThinkOpen)) {
    pending_.erase(0, at + kThinkOpen.size());
    state_ = State::kBeforeThought;
    return true;
  }
  if (kThinkOpen.starts_with(rest)) return false;
  state_ = State::kSpeaking;
  return true;
}

bool ThinkSplitter::skip_line_ends(State next) {
  pending_.erase(0, std::min(pending_.find_first_not_of('\n'), pending_.size()));
  if (pending_.empty()) return false;
  state_ = next;
  return true;
}

/// Where a call begins a line of thoughts.
std::size_t ThinkSplitter::call_begin() const {
  if (call_opening_.empty()) return std::string::npos;
  if (!has_thought_ && pending_.starts_with(call_opening_)) return 0;
  // The line end before it is still there: those are held back.
  const std::size_t line_end = pending_.find("\n" + call_opening_);
  return line_end == std::string::npos ? line_end : line_end + 1;
}

void ThinkSplitter::take_thought(std::size_t count, std::string& reasoning) {
  reasoning.append(pending_, 0, count);
  has_thought_ = has_thought_ || count > 0;
}

bool ThinkSplitter::think(std::string& reasoning) {
  const std::size_t close = pending_.find(kThinkClose);
  const std::size_t call = call_begin();
  const std::size_t end = std::min(close, call);
  std::size_t shown = end;
  if (end == std::string::npos) {
    const std::size_t held =
        std::max(held_bytes(pending_, kThinkClose), held_bytes(pending_, call_opening_));
    shown = pending_.size() - held;
  }
  while (shown > 0 && pending_[shown - 1] == '\n') --shown;
  take_thought(shown, reasoning);
  if (end == std::string::npos) {
    pending_.erase(0, shown);
    return false;
  }
  pending_.erase(0, end == close ? close + kThinkClose.size() : call);
  state_ = end == close ? State::kBeforeSpeech : State::kSpeaking;
  return true;
}

ThoughtAndSpeech ThinkSplitter::push(std::string_view text) {
  pending_ += text;
  ThoughtAndSpeech out;
  bool more = true;
  while (more) {
    switch (state_) {
      case State::kOpening:
        more = open();
        break;
      case State::kBeforeThought:
        more = skip_line_ends(State::kThinking);
        break;
      case State::kThinking:
        more = think(out.reasoning);
        break;
      case State::kBeforeSpeech:
        more = skip_line_ends(State::kSpeaking);
        break;
      case State::kSpeaking:
        out.content += std::exchange(pending_, {});
        more = false;
        break;
    }
  }
  return out;
}

ThoughtAndSpeech ThinkSplitter::finish() {
  ThoughtAndSpeech out;
  (thinking() ? out.reasoning : out.content) = std::exchange(pending_, {});
  return out;
}

}  // namespace nvllm::server
