#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/message.h"

namespace nvllm::net {

struct HttpClientOptions {
  std::chrono::milliseconds connect_time{5'000};
  std::chrono::milliseconds silence_time{600'000};  ///< without one byte from the server
  std::int64_t body_bytes_max = 64 << 20;
  std::vector<HeaderField> headers{};  ///< sent with every request (authorisation)
};

/// How an exchange with a deadline ended.
enum class ExchangeEnd {
  kComplete,  ///< the whole answer, whatever its status
  kDeadline,  ///< cut off: the connection was closed at the deadline
  kRefused,   ///< no connection
  kBroke,     ///< the connection ended within the answer, or what came was no HTTP
};

/// What came of it. The body went to the callback.
struct TimedExchange {
  ExchangeEnd end = ExchangeEnd::kRefused;
  HttpResponse head;  ///< its status is 0 where no head came
  std::string error;  ///< in words, unless kComplete
};

/// Hears the body's bytes as they come, with the time at which they were received and before
/// anything else was done with them. The first call may bring none: then the head has come.
using OnBytes = std::function<void(const HttpResponse& head, std::string_view bytes,
                                   std::chrono::steady_clock::time_point at)>;

/// Whether a streamed answer is still wanted.
enum class Wanted { kMore, kNoMore };

/// A blocking client for one HTTP/1.1 server, for benches and tests. It keeps its connection from
/// request to request. One thread at a time.
class HttpClient {
 public:
  /// `base_url` is "http://host[:port][/prefix]"; connects on the first request.
  ///   Errors: Error(kUsage) for anything else, https included.
  explicit HttpClient(std::string_view base_url, HttpClientOptions options = {});
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  /// Any status is an answer.
  ///   Errors: Error(kUnavailable) naming the server if it cannot be reached, is silent for too
  ///   long,
  ///           or breaks off.
  HttpResponse get(std::string_view path);
  HttpResponse post(std::string_view path, std::string_view json_body);
  HttpResponse request(std::string_view method, std::string_view path, std::string_view body);

  /// Posts and reads server-sent events as they come. If the status is not 200 no event is read and
  /// the answer's body is in the result. Returning kNoMore closes the connection.
  HttpResponse stream(std::string_view path, std::string_view json_body,
                      const std::function<Wanted(std::string_view data)>& on_event);

  /// Posts and reads until the answer ends or the deadline of the whole has come, connecting
  /// included. What goes wrong is in the result.
  [[nodiscard]] TimedExchange post_before(std::string_view path, std::string_view json_body,
                                          std::chrono::steady_clock::time_point deadline,
                                          const OnBytes& on_bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nvllm::net
