#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/parsers/call_body.h"
#include "server/parsers/reply_part.h"
#include "server/parsers/tool_schemas.h"

namespace nvllm::server {

/// How a model writes calls of functions, between <tool_call> and </tool_call>.
enum class CallFormat {
  kNone,
  kHermes,   ///< {"name": ..., "arguments": {...}}
  kQwenXml,  ///< <function=NAME> and <parameter=KEY> tags
};

/// How many calls of one reply count.
enum class CallCount { kAny, kOne };

/// How the text of a call begins, up to what depends on the function: what templates teach.
std::string call_opening(CallFormat format);
/// The same up to the arguments of a function.
std::string call_opening(CallFormat format, std::string_view function);

/// Finds the calls in what a model says, while it arrives in pieces. Text before, between and after
/// calls is content, but for white space next to calls. A call is told as soon as its name is
/// known; more of its arguments as they come.
///
/// Broken calls: where the name cannot be read, the text is content again, all of it. Once the name
/// is known, and perhaps sent, the call stands: its arguments end where they broke, and what
/// follows up to </tool_call> is dropped. A reply that ends inside a call leaves the arguments as
/// far as they came. Of the Qwen format <function=NAME> without <tool_call> is a call, too, where
/// the function is a declared one, since models forget the outer tag.
class ToolCallParser {
 public:
  /// `tools` may be null: then every parameter is text.
  ToolCallParser(CallFormat format, std::shared_ptr<const ToolSchemas> tools, CallCount count);

  /// Adds to `parts` what became certain.
  void push(std::string_view text, std::vector<ReplyPart>& parts);
  void finish(ReplyEnd end, std::vector<ReplyPart>& parts);

 private:
  enum class State { kText, kBody, kAfterBody, kBroken, kOver };

  void take(char c, std::vector<ReplyPart>& parts);
  void take_text(char c, std::vector<ReplyPart>& parts);
  void take_body(char c, std::vector<ReplyPart>& parts);
  void take_after_body(char c, std::vector<ReplyPart>& parts);
  void take_broken(char c);
  void begin_call(std::string text);
  bool announce(std::vector<ReplyPart>& parts);
  void tell_arguments(std::vector<ReplyPart>& parts);
  void give_back(std::vector<ReplyPart>& parts);
  State after_call() const { return count_ == CallCount::kOne ? State::kOver : State::kText; }
  void replay(const std::string& text, std::vector<ReplyPart>& parts);

  CallFormat format_;
  std::shared_ptr<const ToolSchemas> tools_;
  CallCount count_;
  State state_ = State::kText;
  std::string held_;  ///< what may be a tag, with the white space before it
  std::string raw_;   ///< of a call whose name is not known yet
  std::unique_ptr<CallBody> body_;
  bool announced_ = false, unwrapped_ = false;
  std::int64_t calls_ = 0;
};

}  // namespace nvllm::server
