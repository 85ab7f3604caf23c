// GET /metrics. There is a page from the start: before the model is loaded all engine numbers are
// 0.
#include "server/endpoints.h"

namespace nvllm::server {

void serve_metrics(ServerContext& context, const ExchangePtr& exchange) {
  const ServedModel* model = context.model();
  const engine::EngineStats stats =
      model == nullptr ? engine::EngineStats{} : model->generator->stats();
  exchange->respond(
      {.content_type = "text/plain; version=0.0.4; charset=utf-8",
       .body = context.metrics().write(stats, context.identity().model_names.front())});
}

}  // namespace nvllm::server
