#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nvllm::net {

/// Why a message is refused, ready to be answered.
struct ParseFailure {
  int status = 400;
  std::string message{};
};

/// Sizes a body may have.
struct BodyLimits {
  std::int64_t body_bytes_max = 0;
  std::int64_t line_bytes_max = 0;  ///< of one chunk-size line, and of all trailer lines together
};

/// Takes the body of one HTTP/1.1 message out of a byte stream, whatever its framing. What comes
/// out and what is refused does not depend on how the bytes were cut. Trailers are read and
/// dropped.
class BodyReader {
 public:
  /// A body of known length (0 for none).
  static BodyReader of_length(std::int64_t bytes, BodyLimits limits);
  static BodyReader chunked(BodyLimits limits);
  /// A body that ends with its connection.
  static BodyReader until_end(BodyLimits limits);

  /// Appends body bytes to `out` and returns how many of `bytes` belong to this message.
  std::size_t feed(std::string_view bytes, std::string& out);
  bool done() const { return state_ == State::kDone; }
  const std::optional<ParseFailure>& failure() const { return failure_; }
  /// Whether the end of the connection is a proper end here.
  bool may_end_now() const { return done() || state_ == State::kUntilEnd; }

 private:
  enum class State { kData, kUntilEnd, kSizeLine, kChunkData, kChunkEnd, kTrailer, kDone, kFailed };

  BodyReader(State state, std::int64_t left, BodyLimits limits)
      : state_(state), left_(left), limits_(limits) {}
  std::size_t take_data(std::string_view bytes, std::string& out);
  std::size_t take_line(std::string_view bytes);
  void end_line();
  void begin_chunk(std::string_view line);
  bool count_body(std::int64_t bytes);
  void fail(int status, std::string message);

  State state_;
  std::int64_t left_;  // bytes of data or of the present chunk still to come
  BodyLimits limits_;
  std::int64_t body_bytes_ = 0;
  std::int64_t trailer_bytes_ = 0;
  std::string line_;
  std::optional<ParseFailure> failure_;
};

}  // namespace nvllm::net
