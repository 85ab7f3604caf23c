#include "server/parsers/json_call.h"

#include "base/error.h"
#include "base/json.h"
#include "server/parsers/held_text.h"

namespace nvllm::server {
namespace {

constexpr std::size_t kDepthMax = 256;

bool is_scalar_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '+' || c == '.';
}

}  // namespace

ValueEnd::Where ValueEnd::close(char c) {
  if (brackets_.empty() || brackets_.back() != (c == '}' ? '{' : '[')) return Where::kBroken;
  brackets_.pop_back();
  return brackets_.empty() ? Where::kAtEnd : Where::kInside;
}

ValueEnd::Where ValueEnd::push(char c) {
  const bool first = !begun_;
  if (in_string_) {
    const bool ends = c == '"' && !escaped_;
    escaped_ = c == '\\' && !escaped_;
    in_string_ = !ends;
    return ends && brackets_.empty() ? Where::kAtEnd : Where::kInside;
  }
  if (!first && brackets_.empty()) {  // a number or a word
    if (is_scalar_byte(c)) return Where::kInside;
    return c == ',' || c == '}' || is_white_space(c) ? Where::kBehind : Where::kBroken;
  }
  begun_ = true;
  if (c == '"') {
    in_string_ = true;
    return Where::kInside;
  }
  if (c == '{' || c == '[') {
    brackets_ += c;
    return brackets_.size() > kDepthMax ? Where::kBroken : Where::kInside;
  }
  if (c == '}' || c == ']') return close(c);
  const bool between = !first && (c == ',' || c == ':' || is_white_space(c));
  return between || is_scalar_byte(c) ? Where::kInside : Where::kBroken;
}

/// Reads the text that `text_` holds.
bool JsonCall::take_text(std::string& out) {
  try {
    out = parse_json(text_, "text of a call").get<std::string>();
  } catch (const Error&) {
    return false;  // an escape that is none
  }
  text_.clear();
  return true;
}

BodyState JsonCall::text_byte(char c, State next) {
  const bool ends = c == '"' && !escaped_;
  escaped_ = c == '\\' && !escaped_;
  text_ += c;
  if (!ends) return text_.size() > kNameBytesMax ? BodyState::kBroken : BodyState::kOpen;
  std::string text;
  if (!take_text(text)) return BodyState::kBroken;
  if (state_ == State::kKey) {
    key_ = std::move(text);
  } else {
    if (text.empty()) return BodyState::kBroken;
    name_ = std::move(text);
  }
  state_ = next;
  return BodyState::kOpen;
}

/// Takes the first byte of a value: the name is read, arguments are kept, others are passed over.
bool JsonCall::begin_value(char c) {
  if (key_ == "name" && name_.empty()) {
    if (c != '"') return false;
    text_ = c;
    state_ = State::kNameText;
    return true;
  }
  keeps_value_ = !has_arguments_ && (key_ == "arguments" || key_ == "parameters");
  has_arguments_ = has_arguments_ || keeps_value_;
  value_ = {};
  return value_byte(c) != BodyState::kBroken;
}

BodyState JsonCall::value_byte(char c) {
  const ValueEnd::Where where = value_.push(c);
  if (where == ValueEnd::Where::kBroken) return BodyState::kBroken;
  if (where == ValueEnd::Where::kBehind) {
    state_ = State::kComma;
    return separator(c);
  }
  if (keeps_value_) arguments_ += c;
  if (where == ValueEnd::Where::kAtEnd) state_ = State::kComma;
  return BodyState::kOpen;
}

BodyState JsonCall::separator(char c) {
  if (is_white_space(c)) return BodyState::kOpen;
  if (c == ',') {
    state_ = State::kNextKey;
    return BodyState::kOpen;
  }
  if (c != '}' || name_.empty()) return BodyState::kBroken;
  if (!has_arguments_) arguments_ = "{}";
  return BodyState::kDone;
}

BodyState JsonCall::push(char c) {
  if (state_ == State::kKey) return text_byte(c, State::kColon);
  if (state_ == State::kNameText) return text_byte(c, State::kComma);
  if (state_ == State::kValue && value_.begun()) return value_byte(c);
  if (is_white_space(c)) return BodyState::kOpen;
  switch (state_) {
    case State::kStart:
      if (c != '{') return BodyState::kBroken;
      state_ = State::kFirstKey;
      return BodyState::kOpen;
    case State::kFirstKey:
    case State::kNextKey:
      if (c != '"') return BodyState::kBroken;
      text_ = c;
      state_ = State::kKey;
      return BodyState::kOpen;
    case State::kColon:
      if (c != ':') return BodyState::kBroken;
      value_ = {};
      state_ = State::kValue;
      return BodyState::kOpen;
    case State::kValue:
      return begin_value(c) ? BodyState::kOpen : BodyState::kBroken;
    default:
      return separator(c);
  }
}

}  // namespace nvllm::server
