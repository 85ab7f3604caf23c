#pragma once

#include <string>

#include "server/parsers/call_body.h"

namespace nvllm::server {

/// Follows one JSON value byte by byte: where it ends, and whether its brackets match. It is not
/// held against the whole grammar: arguments are the caller's to read.
class ValueEnd {
 public:
  enum class Where {
    kInside,
    kAtEnd,   ///< this byte is its last one
    kBehind,  ///< this byte is no part of it: the value was a number or a word
    kBroken,
  };
  Where push(char c);
  /// Whether a byte was taken; a value has at least one.
  bool begun() const { return begun_; }

 private:
  Where close(char c);

  std::string brackets_;  ///< the open ones
  bool begun_ = false, in_string_ = false, escaped_ = false;
};

/// {"name": NAME, "arguments": VALUE} as Hermes and Qwen3 write it. The arguments' text is passed
/// on as it was written, byte for byte; "parameters" is another name for them, and without either
/// they are {}. Other keys are read and left out.
class JsonCall final : public CallBody {
 public:
  BodyState push(char c) override;
  void finish(ReplyEnd /*end*/) override {}

 private:
  enum class State { kStart, kFirstKey, kNextKey, kKey, kColon, kValue, kNameText, kComma };

  BodyState text_byte(char c, State next);
  BodyState value_byte(char c);
  BodyState separator(char c);
  bool begin_value(char c);
  bool take_text(std::string& out);

  State state_ = State::kStart;
  std::string text_;  ///< of a key or the name, as it is written, with the first quote
  bool escaped_ = false;
  std::string key_;
  ValueEnd value_;
  bool has_arguments_ = false, keeps_value_ = false;
};

}  // namespace nvllm::server
