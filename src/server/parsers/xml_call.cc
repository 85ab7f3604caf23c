#include "server/parsers/xml_call.h"

#include <algorithm>
#include <utility>

#include "server/parsers/held_text.h"

namespace nvllm::server {
namespace {

constexpr std::string_view kFunction = "<function=";
constexpr std::string_view kFunctionEnd = "</function>";
constexpr std::string_view kParameter = "<parameter=";
constexpr std::string_view kParameterEnd = "</parameter>";
constexpr std::string_view kCallEnd = "</tool_call>";
constexpr std::string_view kNull = "null";

/// White space between two tags beyond this is part of a value.
constexpr std::size_t kGapMax = 64;

/// Whether text is the end of a value, may become it, or neither.
enum class Fit { kNo, kMaybe, kYes };

Fit fit(std::string_view text, std::string_view wanted) {
  if (text.starts_with(wanted)) return Fit::kYes;
  return wanted.starts_with(text) ? Fit::kMaybe : Fit::kNo;
}

Fit better(Fit a, Fit b) { return a < b ? b : a; }

std::size_t gap_of(std::string_view text) {
  return std::min(text.find_first_not_of(kWhiteSpace), text.size());
}

/// Whether the text begins with `tag` and then one of the tags that may follow it.
template <std::size_t N>
Fit fit_with_follower(std::string_view text, std::string_view tag,
                      const std::string_view (&followers)[N]) {
  const Fit first = fit(text, tag);
  if (first != Fit::kYes) return first;
  text.remove_prefix(tag.size());
  const std::size_t gap = gap_of(text);
  if (gap > kGapMax) return Fit::kNo;
  Fit best = Fit::kNo;
  for (const std::string_view follower : followers) {
    best = better(best, fit(text.substr(gap), follower));
  }
  return best;
}

constexpr std::string_view kAfterParameter[] = {kParameter, kFunctionEnd, kCallEnd};
constexpr std::string_view kAfterFunction[] = {kCallEnd};

/// The end of a value: what the value leaves out, and the tags that follow.
struct ValueTail {
  Fit fit = Fit::kNo;
  std::size_t tags_from = 0;  ///< with kYes: where the first tag that follows begins
};

ValueTail tail_of(std::string_view text) {
  const std::size_t skipped = text.starts_with('\n') ? 1 : 0;
  const std::string_view tags = text.substr(skipped);
  const Fit closed = fit_with_follower(tags, kParameterEnd, kAfterParameter);
  const Fit forgotten = fit_with_follower(tags, kFunctionEnd, kAfterFunction);
  if (closed == Fit::kYes) return {closed, skipped + kParameterEnd.size()};
  return {better(closed, forgotten), skipped};
}

}  // namespace

BodyState XmlCall::push(char c) {
  switch (state_) {
    case State::kStart:
    case State::kBetween:
      return read_tag(c);
    case State::kName:
    case State::kKey:
      return read_word(c);
    case State::kValue:
      return read_value(c);
    case State::kDone:
      break;
  }
  rest_ += c;
  return BodyState::kDone;
}

BodyState XmlCall::read_tag(char c) {
  if (tag_.empty() && is_white_space(c)) return BodyState::kOpen;
  tag_ += c;
  const Fit begins = fit(tag_, state_ == State::kStart ? kFunction : kParameter);
  const Fit ends = state_ == State::kStart ? Fit::kNo : fit(tag_, kFunctionEnd);
  if (begins == Fit::kNo && ends == Fit::kNo) {
    // Between values the object can be closed, whatever stands there in place of a tag.
    if (state_ == State::kBetween) close_object();
    tag_.pop_back();
    rest_ = std::exchange(tag_, {});
    return BodyState::kBroken;
  }
  if (begins == Fit::kYes) {
    state_ = state_ == State::kStart ? State::kName : State::kKey;
    tag_.clear();
  } else if (ends == Fit::kYes) {
    close_object();
    state_ = State::kDone;
    tag_.clear();
    return BodyState::kDone;
  }
  return BodyState::kOpen;
}

BodyState XmlCall::read_word(char c) {
  const bool none =
      c == '>' ? word_.empty() : c == '\n' || c == '<' || word_.size() >= kNameBytesMax;
  if (none) {
    if (state_ == State::kKey) close_object();
    return BodyState::kBroken;
  }
  if (c != '>') {
    word_ += c;
    return BodyState::kOpen;
  }
  if (state_ == State::kName) {
    name_ = std::exchange(word_, {});
    state_ = State::kBetween;
  } else {
    begin_value();
  }
  return BodyState::kOpen;
}

void XmlCall::begin_value() {
  const std::string key = std::exchange(word_, {});
  state_ = State::kValue;
  at_value_begin_ = true;
  text_is_open_ = false;
  value_.clear();
  const bool first = keys_.empty();
  drops_value_ = !keys_.insert(key).second;
  if (drops_value_) return;
  type_ = tools_ == nullptr ? ParameterType() : tools_->type_of(name_, key);
  arguments_ += first ? "{\"" : ", \"";
  append_escaped(key, arguments_);
  arguments_ += "\": ";
  if (type_.kind() == ParameterKind::kText) open_text();
}

void XmlCall::close_object() { arguments_ += keys_.empty() ? "{}" : "}"; }

void XmlCall::open_text() {
  arguments_ += '"';
  text_is_open_ = true;
}

void XmlCall::add_to_value(std::string_view text) {
  if (drops_value_ || text.empty()) return;
  if (text_is_open_) return append_escaped(text, arguments_);
  value_ += text;
  if (type_.kind() != ParameterKind::kTextOrNull || kNull.starts_with(value_)) return;
  open_text();
  append_escaped(value_, arguments_);
}

void XmlCall::end_value() {
  state_ = State::kBetween;
  if (drops_value_) return;
  if (text_is_open_) {
    arguments_ += '"';
  } else if (type_.kind() == ParameterKind::kJson) {
    arguments_ += type_.json_of(value_);
  } else if (value_ == kNull) {
    arguments_ += kNull;
  } else {  // no more than a beginning of the word
    open_text();
    append_escaped(value_, arguments_);
    arguments_ += '"';
  }
}

BodyState XmlCall::read_value(char c) {
  if (std::exchange(at_value_begin_, false) && c == '\n') {
    pending_.clear();
    return BodyState::kOpen;
  }
  pending_ += c;
  while (!pending_.empty()) {
    const ValueTail tail = tail_of(pending_);
    if (tail.fit == Fit::kMaybe) return BodyState::kOpen;
    if (tail.fit == Fit::kYes) break;
    // Nothing but a line end or a tag begins the end.
    const std::size_t next = std::min(pending_.find_first_of("\n<", 1), pending_.size());
    add_to_value(std::string_view(pending_).substr(0, next));
    pending_.erase(0, next);
  }
  return pending_.empty() ? BodyState::kOpen : end_value_and_read(tail_of(pending_).tags_from);
}

/// Ends the value and reads the tags behind it, which are known already.
BodyState XmlCall::end_value_and_read(std::size_t tags_from) {
  const std::string tags = std::exchange(pending_, {}).substr(tags_from);
  end_value();
  BodyState state = BodyState::kOpen;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    state = push(tags[i]);
    if (state != BodyState::kBroken) continue;
    rest_ += tags.substr(i, tags.size() - 1 - i);  // the last byte is not ours to give back
    break;
  }
  return state;
}

void XmlCall::finish(ReplyEnd end) {
  if (state_ == State::kValue) {
    const bool closed =
        tail_of(pending_).fit == Fit::kMaybe && pending_.find(kParameterEnd) != std::string::npos;
    // What is held back is the beginning of the closing tags, and part of nothing else.
    if (closed || end == ReplyEnd::kWhole) {
      end_value();
    } else if (!text_is_open_ && !drops_value_) {
      arguments_ += value_;
    }
  }
  const bool has_values = state_ == State::kBetween || state_ == State::kKey;
  if (has_values && end == ReplyEnd::kWhole) close_object();
}

}  // namespace nvllm::server
