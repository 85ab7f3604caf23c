#pragma once

#include <string>
#include <utility>

#include "server/parsers/reply_part.h"

namespace nvllm::server {

/// How far the text of a call has been read.
enum class BodyState {
  kOpen,
  kDone,
  kBroken,  ///< the last byte does not belong to it, nor what take_rest() has before that byte
};

/// Reads what is between <tool_call> and </tool_call> byte by byte, so that the cuts between pieces
/// cannot matter.
class CallBody {
 public:
  virtual ~CallBody() = default;
  virtual BodyState push(char c) = 0;
  /// The end of the reply came first.
  virtual void finish(ReplyEnd end) = 0;

  /// The function's name; "" until all of it is known.
  const std::string& name() const { return name_; }
  /// More of the arguments' JSON text. It may come before the name is known.
  std::string take_arguments() { return std::exchange(arguments_, {}); }
  /// Bytes that were read to see whether the body ends, and that are behind its end.
  std::string take_rest() { return std::exchange(rest_, {}); }

 protected:
  /// A name or a key longer than this is none.
  static constexpr std::size_t kNameBytesMax = 256;

  std::string name_;
  std::string arguments_;
  std::string rest_;
};

}  // namespace nvllm::server
