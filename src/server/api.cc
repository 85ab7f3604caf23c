// The request boundary: whatever ends a request by exception becomes an answer here.
#include "server/api.h"

#include <fmt/format.h>

#include "base/log.h"
#include "server/api_error.h"

namespace nvllm::server {

Api::Api(ServerContext& context, ApiKeys keys) : context_(context), keys_(std::move(keys)) {
  add("POST", "/v1/completions", serve_completion);
  add("POST", "/v1/chat/completions", serve_chat_completion);
  add("GET", "/v1/models", serve_models);
  add("GET", "/", serve_page);
  add("GET", "/page.js", serve_page_script);
  add("GET", "/evidence", serve_evidence);
  add("GET", "/evidence/report", serve_evidence_report);
  add("GET", "/health", serve_health);
  add("GET", "/health_generate", serve_health_generate);
  add("GET", "/load", serve_load);
  add("GET", "/version", serve_version);
  add("GET", "/metrics", serve_metrics);
  add("POST", "/tokenize", serve_tokenize);
  add("POST", "/detokenize", serve_detokenize);
  add("POST", "/reset_prefix_cache", serve_reset_prefix_cache);
  add("POST", "/start_profile", serve_start_profile);
  add("POST", "/stop_profile", serve_stop_profile);
}

void Api::add(const char* method, const char* path, Endpoint endpoint) {
  router_.add(method, path, [&context = context_, endpoint](const ExchangePtr& exchange) {
    endpoint(context, exchange);
  });
}

bool Api::is_open(std::string_view method, std::string_view path) {
  // The page holds nothing but itself; what it shows it asks for with a key.
  return (method == "GET" || method == "HEAD") && (path == "/health" || path == "/" || path == "/page.js");
}

net::ErrorPage Api::error_page() {
  return [](int status, const std::string& message) {
    return error_response({.status = status, .message = message});
  };
}

net::Handler Api::handler() {
  return [this](const ExchangePtr& exchange) {
    try {
      serve(exchange);
    } catch (const std::exception& error) {
      refuse(context_, exchange, error);
    }
  };
}

void refuse(ServerContext& context, const ExchangePtr& exchange, const std::exception& error) {
  const ApiFault fault = fault_of(error);
  if (fault.status >= 500 && fault.status != 503) {
    log(LogLevel::kError, "server", fmt::format("a request failed: {}", error.what()));
  }
  context.metrics().count_refusal(fault.status);
  exchange->respond(error_response(fault));
}

void Api::serve(const ExchangePtr& exchange) {
  const net::HttpRequest& request = exchange->request();
  const std::string_view path = request.path();
  // Before the routing: without a key a stranger does not even learn which paths there are.
  if (!is_open(request.method, path) && !keys_.allow(request)) {
    throw ApiError({.status = 401,
                    .message = "a valid API key is required: Authorization: Bearer KEY",
                    .code = "invalid_api_key"});
  }
  if (const net::Route* route = router_.find(request.method, path)) return route->handler(exchange);
  const std::string methods = router_.methods_of(path);
  if (methods.empty()) throw ApiError({.status = 404, .message = "there is nothing at this path"});
  context_.metrics().count_refusal(405);
  net::HttpResponse response =
      error_response({.status = 405, .message = "this path answers to " + methods});
  response.headers.push_back({"Allow", methods});
  exchange->respond(std::move(response));
}

}  // namespace nvllm::server
