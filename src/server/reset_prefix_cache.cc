// POST /reset_prefix_cache, as vLLM has it.
#include "server/endpoints.h"

namespace nvllm::server {

void serve_reset_prefix_cache(ServerContext& context, const ExchangePtr& exchange) {
  context.require_model().generator->reset_prefix_cache();
  exchange->respond(net::HttpResponse{});
}

}  // namespace nvllm::server
