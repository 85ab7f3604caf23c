#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/body_reader.h"
#include "net/limits.h"
#include "net/message.h"

namespace nvllm::net {

/// Where a parser stands after it took what it has.
enum class ParseState {
  kIdle,    ///< between messages, nothing buffered
  kHead,    ///< inside a head
  kBody,    ///< head complete, body not
  kDone,    ///< one message is complete: take it
  kFailed,  ///< refused; `failure()` says how; the connection must end
};

/// Cuts a byte stream into HTTP/1.x requests under `HttpLimits`. Knows nothing of sockets, so that
/// tests and fuzzers drive it directly. Framing that two parsers could read differently (length and
/// chunked together, a repeated length, bare CR or LF, folded fields) is refused.
class RequestParser {
 public:
  explicit RequestParser(const HttpLimits& limits);

  /// Adds bytes without looking at them.
  void append(std::string_view bytes);
  /// Parses as far as the bytes allow.
  ParseState advance();
  ParseState state() const { return state_; }
  const ParseFailure& failure() const { return failure_; }
  /// Bytes added and not yet part of a message.
  std::int64_t buffered_bytes() const { return static_cast<std::int64_t>(buffer_.size()); }
  /// Body bytes of the present message seen so far, framing included.
  std::int64_t body_wire_bytes() const { return body_wire_bytes_; }

  /// Takes no more input: the caller refused the message for a reason of its own (time).
  void give_up() { state_ = ParseState::kFailed; }

  /// Once per message: whether the client waits for "100 Continue" before it sends its body.
  bool take_continue_request();
  /// The complete message; the parser then waits for the next one. Only in kDone.
  HttpRequest take_request();
  /// Of the last message whose head was complete.
  bool keep_alive() const { return keep_alive_; }
  bool http_1_0() const { return http_1_0_; }

 private:
  ParseState fail(int status, std::string message);
  ParseState advance_head();
  ParseState accept_head(std::string_view head);
  ParseState advance_body();

  const HttpLimits limits_;
  std::optional<BodyReader> body_;
  std::string buffer_;
  std::size_t searched_bytes_ = 0;  // of buffer_, known to hold no end of head
  std::int64_t body_wire_bytes_ = 0;
  ParseState state_ = ParseState::kIdle;
  ParseFailure failure_;
  HttpRequest request_;  // in the making
  bool keep_alive_ = false;
  bool http_1_0_ = false;
  bool continue_requested_ = false;
};

/// Reads one HTTP/1.x response; the body is handed out as it arrives.
class ResponseParser {
 public:
  explicit ResponseParser(std::int64_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

  /// Takes bytes and returns the body bytes that became known.
  ///   Errors: Error(kUnavailable) for a malformed or too large response.
  std::string feed(std::string_view bytes);
  /// The peer closed the connection.
  ///   Errors: Error(kUnavailable) if the response was not complete.
  void feed_end() const;
  bool head_done() const { return body_.has_value(); }
  bool done() const { return body_ && body_->done(); }
  bool keep_alive() const { return keep_alive_; }
  /// Status and headers; the body is empty. Only after head_done().
  const HttpResponse& head() const { return head_; }

 private:
  void read_head(std::string_view head);

  const std::int64_t body_bytes_max_;
  std::string buffer_;
  HttpResponse head_;
  std::optional<BodyReader> body_;
  bool keep_alive_ = false;
};

}  // namespace nvllm::net
