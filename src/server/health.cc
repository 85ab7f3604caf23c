// GET /health, GET /load (as vLLM's, calls in flight) and GET /version. Healthy means able to answer a new request: loaded, not draining,
// engine alive, and no step that takes suspiciously long.
#include "server/api_error.h"
#include "server/endpoints.h"

namespace nvllm::server {

void require_health(const ServerContext& context) {
  const auto unhealthy = [](const char* message, const char* code) {
    return ApiError({.status = 503, .message = message, .code = code, .retry_after_seconds = 1});
  };
  if (context.draining()) throw unhealthy("the server is shutting down", "draining");
  const engine::EngineStats stats = context.require_model().generator->stats();
  if (!stats.alive) throw unhealthy("the engine has failed", "engine_dead");
  const auto step_seconds_max = static_cast<double>(context.limits().step_time_max.count());
  if (stats.seconds_since_step > step_seconds_max) {
    throw unhealthy("the engine has not completed a step for too long", "engine_hung");
  }
}

void serve_health(ServerContext& context, const ExchangePtr& exchange) {
  require_health(context);
  exchange->respond({.body = R"({"status":"ok"})"});
}

void serve_load(ServerContext& context, const ExchangePtr& exchange) {
  const engine::EngineStats stats = context.require_model().generator->stats();
  Json load;
  load["server_load"] = context.live_calls().count();
  load["running"] = stats.running;
  load["waiting"] = stats.waiting;
  exchange->respond({.body = dump_json(load)});
}

void serve_version(ServerContext& context, const ExchangePtr& exchange) {
  Json version;
  version["version"] = context.identity().version;
  exchange->respond({.body = dump_json(version)});
}

}  // namespace nvllm::server
