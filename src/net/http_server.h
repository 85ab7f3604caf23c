#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/exchange.h"
#include "net/limits.h"

namespace nvllm::net {

/// Writes the answer for a request that never reached a handler (malformed, too large, too slow).
using ErrorPage = std::function<HttpResponse(int status, const std::string& message)>;

struct HttpServerOptions {
  std::string host = "127.0.0.1";  ///< an IP address or "localhost"; nothing is looked up
  std::uint16_t port = 8000;       ///< 0: any free port
  std::int64_t thread_count = 2;
  HttpLimits limits{};
  /// Names a Host or Origin header may carry besides the bound address. A server on loopback takes
  /// loopback names and these, so that a page of the web cannot reach it by rebinding a name; a
  /// server on another address takes any Host while this list is empty.
  std::vector<std::string> allowed_hosts{};
  ErrorPage error_page{};  ///< empty: plain text
};

/// Listens, reads requests, hands them to one handler, writes answers. Owns its threads.
class HttpServer {
 public:
  /// Listens from here on.
  ///   Errors: Error(kUnavailable) naming host and port if the port is taken, Error(kUsage) if the
  ///           host is not an address of this machine.
  HttpServer(HttpServerOptions options, Handler handler);
  /// Closes every connection; unfinished exchanges hear `gone`.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// The port listened on.
  std::uint16_t port() const;
  /// Requests whose answer is not fully written yet.
  std::int64_t active_exchange_count() const;
  std::int64_t connection_count() const;
  /// Stops listening and closes every connection. Called again, it does nothing.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nvllm::net
