#include "server/parsers/tool_call_parser.h"

#include <algorithm>
#include <utility>

#include "server/parsers/held_text.h"
#include "server/parsers/json_call.h"
#include "server/parsers/xml_call.h"

namespace nvllm::server {
namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kFunction = "<function=";

std::string_view without_gap(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kWhiteSpace), text.size()));
}

}  // namespace

std::string call_opening(CallFormat format) {
  switch (format) {
    case CallFormat::kNone:
      break;
    case CallFormat::kHermes:
      return "<tool_call>\n{\"name\": \"";
    case CallFormat::kQwenXml:
      return "<tool_call>\n<function=";
  }
  return "";
}

std::string call_opening(CallFormat format, std::string_view function) {
  const std::string begin = call_opening(format) + std::string(function);
  // No space at the end: tokens have it at their beginning.
  return format == CallFormat::kHermes ? begin + "\", \"arguments\":" : begin + ">\n";
}

ToolCallParser::ToolCallParser(CallFormat format, std::shared_ptr<const ToolSchemas> tools,
                               CallCount count)
    : format_(format), tools_(std::move(tools)), count_(count) {}

void ToolCallParser::push(std::string_view text, std::vector<ReplyPart>& parts) {
  if (format_ == CallFormat::kNone) {
    return add_part(parts, {ReplyPart::Kind::kContent, std::string(text)});
  }
  for (const char c : text) take(c, parts);
}

void ToolCallParser::take(char c, std::vector<ReplyPart>& parts) {
  switch (state_) {
    case State::kText:
      return take_text(c, parts);
    case State::kBody:
      return take_body(c, parts);
    case State::kAfterBody:
      return take_after_body(c, parts);
    case State::kBroken:
      return take_broken(c);
    case State::kOver:
      return;
  }
}

void ToolCallParser::replay(const std::string& text, std::vector<ReplyPart>& parts) {
  for (const char c : text) take(c, parts);
}

void ToolCallParser::take_text(char c, std::vector<ReplyPart>& parts) {
  held_ += c;
  const std::string_view tag = without_gap(held_);
  if (tag == kOpen) return begin_call(std::exchange(held_, {}));
  const bool bare = format_ == CallFormat::kQwenXml;
  if (bare && tag == kFunction) {
    begin_call(std::exchange(held_, {}));
    unwrapped_ = true;
    for (const char byte : kFunction) static_cast<void>(body_->push(byte));
    return;
  }
  if (kOpen.starts_with(tag) || (bare && kFunction.starts_with(tag))) return;
  // Nothing in a tag but its first byte begins one.
  const bool may_begin = c == '<' || is_white_space(c);
  std::string text = std::exchange(held_, {});
  if (may_begin) {
    text.pop_back();
    held_ = c;
  }
  add_part(parts, {ReplyPart::Kind::kContent, std::move(text)});
}

void ToolCallParser::begin_call(std::string text) {
  state_ = State::kBody;
  raw_ = std::move(text);
  announced_ = unwrapped_ = false;
  if (format_ == CallFormat::kHermes) {
    body_ = std::make_unique<JsonCall>();
  } else {
    body_ = std::make_unique<XmlCall>(tools_);
  }
}

/// Tells the call once its name is known.  Returns: false for a name that makes it none.
bool ToolCallParser::announce(std::vector<ReplyPart>& parts) {
  if (announced_ || body_->name().empty()) return true;
  if (unwrapped_ && (tools_ == nullptr || !tools_->has(body_->name()))) return false;
  announced_ = true;
  raw_.clear();
  add_part(parts, {ReplyPart::Kind::kCall, body_->name(), calls_++});
  return true;
}

void ToolCallParser::tell_arguments(std::vector<ReplyPart>& parts) {
  if (!announced_) return;
  add_part(parts, {ReplyPart::Kind::kArguments, body_->take_arguments(), calls_ - 1});
}

void ToolCallParser::give_back(std::vector<ReplyPart>& parts) {
  add_part(parts, {ReplyPart::Kind::kContent, std::exchange(raw_, {})});
  state_ = State::kText;
}

void ToolCallParser::take_body(char c, std::vector<ReplyPart>& parts) {
  const BodyState state = body_->push(c);
  if (!announced_ && state != BodyState::kBroken) raw_ += c;
  if (!announce(parts)) return give_back(parts);
  tell_arguments(parts);
  if (state == BodyState::kOpen) return;
  const std::string rest = body_->take_rest();
  if (state == BodyState::kDone) {
    state_ = State::kAfterBody;
  } else if (announced_) {
    state_ = State::kBroken;
  } else {
    raw_.resize(raw_.size() - rest.size());
    give_back(parts);
  }
  replay(rest, parts);
  if (state == BodyState::kBroken) take(c, parts);
}

void ToolCallParser::take_after_body(char c, std::vector<ReplyPart>& parts) {
  held_ += c;
  const std::string_view tag = without_gap(held_);
  const bool closed = tag == kClose;
  if (!closed && kClose.starts_with(tag)) return;
  // A closing tag that was forgotten is not missed.
  const std::string text = std::exchange(held_, {});
  state_ = after_call();
  if (!closed) replay(text, parts);
}

/// Drops what is left of a broken call.
void ToolCallParser::take_broken(char c) {
  held_ += c;
  if (held_.size() > kClose.size()) held_.erase(0, 1);
  if (held_.ends_with(kClose)) {
    held_.clear();
    state_ = after_call();
  } else if (held_.ends_with(kOpen) && count_ == CallCount::kAny) {
    held_.clear();
    begin_call(std::string(kOpen));
  }
}

void ToolCallParser::finish(ReplyEnd end, std::vector<ReplyPart>& parts) {
  if (state_ == State::kBody) {
    body_->finish(end);
    if (announced_) return tell_arguments(parts);
    return give_back(parts);
  }
  if (state_ != State::kText) return;
  // White space behind a call belongs to it, as between calls.
  if (calls_ > 0 && without_gap(held_).empty()) return;
  add_part(parts, {ReplyPart::Kind::kContent, std::exchange(held_, {})});
}

}  // namespace nvllm::server
