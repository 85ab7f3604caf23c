// GET /: the page. It may load nothing but its script and talk to nobody but this server.
#include <string_view>

#include "server/endpoints.h"

namespace nvllm::embedded {
// Of src/server/page, by cmake/nvllm_embed.cmake.
extern const std::string_view page_page_html, page_page_js;
}  // namespace nvllm::embedded

namespace nvllm::server {
namespace {

constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void respond(const ExchangePtr& exchange, std::string content_type, std::string_view body) {
  exchange->respond({.content_type = std::move(content_type),
                     .headers = {{"Content-Security-Policy", kPolicy}, {"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-cache"}},
                     .body = std::string(body)});
}

}  // namespace

void serve_page(ServerContext& /*context*/, const ExchangePtr& exchange) {
  respond(exchange, "text/html; charset=utf-8", embedded::page_page_html);
}

void serve_page_script(ServerContext& /*context*/, const ExchangePtr& exchange) {
  respond(exchange, "text/javascript; charset=utf-8", embedded::page_page_js);
}

}  // namespace nvllm::server
