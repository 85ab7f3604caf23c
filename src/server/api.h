#pragma once

#include <memory>

#include "net/http_server.h"
#include "net/router.h"
#include "server/api_keys.h"
#include "server/endpoints.h"

namespace nvllm::server {

/// The OpenAI-compatible API: routes, keys and the shape of errors, put on top of an HTTP server.
class Api {
 public:
  /// Borrows the context, which must outlive the API and the HTTP server.
  Api(ServerContext& context, ApiKeys keys);

  /// The handler for net::HttpServer; it borrows this object.
  net::Handler handler();
  /// Errors below the API (malformed requests, limits) in the same shape.
  static net::ErrorPage error_page();
  const net::Router& router() const { return router_; }
  /// Whether a route is served without a key. Everything that is not listed wants one.
  static bool is_open(std::string_view method, std::string_view path);

 private:
  using Endpoint = void (*)(ServerContext&, const ExchangePtr&);
  void add(const char* method, const char* path, Endpoint endpoint);
  void serve(const ExchangePtr& exchange);

  ServerContext& context_;
  const ApiKeys keys_;
  net::Router router_;
};

}  // namespace nvllm::server
