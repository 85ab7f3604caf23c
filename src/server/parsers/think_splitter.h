#pragma once

#include <string>
#include <string_view>

namespace nvllm::server {

inline constexpr std::string_view kThinkOpen = "<think>";
inline constexpr std::string_view kThinkClose = "</think>";

/// Where a reply begins: the prompt may have opened its thoughts already.
enum class ThinkingStart { kOutside, kInside };

/// What was thought and what was said, in this order: thinking happens once, at the beginning.
struct ThoughtAndSpeech {
  std::string reasoning{};
  std::string content{};
};

/// Splits a reply that arrives in pieces at <think> and </think>, and takes the line ends around
/// the tags away. Only tags where tags can be are tags: the opening one before anything else but
/// white space, the closing one, the first there is, in thoughts. Elsewhere the same characters are
/// text. What is returned does not depend on the cuts between pieces; held back are the beginning
/// of a possible tag and the line ends before it, nothing else.
class ThinkSplitter {
 public:
  /// `call_opening`, where not empty, also ends thoughts, at the beginning of a line, and is part
  /// of what is said: models forget to stop thinking before they call a function.
  explicit ThinkSplitter(ThinkingStart start, std::string call_opening = {})
      : call_opening_(std::move(call_opening)),
        state_(start == ThinkingStart::kInside ? State::kBeforeThought : State::kOpening) {}

  ThoughtAndSpeech push(std::string_view text);
  /// The end: whatever was held back. Thoughts that were not closed are thoughts.
  ThoughtAndSpeech finish();
  bool thinking() const { return state_ == State::kBeforeThought || state_ == State::kThinking; }

 private:
  enum class State { kOpening, kBeforeThought, kThinking, kBeforeSpeech, kSpeaking };

  bool open();
  bool skip_line_ends(State next);
  bool think(std::string& reasoning);
  std::size_t call_begin() const;
  void take_thought(std::size_t count, std::string& reasoning);

  std::string call_opening_;
  State state_;
  bool has_thought_ = false;
  std::string pending_;
};

}  // namespace nvllm::server
