// GET /health_generate, as SGLang has it: healthy means that a token came out just now.
#include "server/api_error.h"
#include "server/endpoints.h"

namespace nvllm::server {
namespace {

/// One token on its way. Kept by the engine's wake-up, and gone with it.
struct Probe {
  ExchangePtr exchange;
  std::shared_ptr<engine::TokenStream> stream;

  /// On the connection's sequence.
  void look() {
    if (stream == nullptr) return;
    const engine::StreamEvent event = stream->poll();
    if (event.finish == engine::FinishReason::kNone) return;
    stream.reset();  // which keeps this alive
    const bool came = event.finish == engine::FinishReason::kLength || event.finish == engine::FinishReason::kStop;
    if (came) return exchange->respond({.body = R"({"status":"ok"})"});
    exchange->respond(error_response({.status = 503, .message = "the engine did not generate", .code = "engine_error"}));
  }
};

}  // namespace

void serve_health_generate(ServerContext& context, const ExchangePtr& exchange) {
  require_health(context);
  engine::GenerationRequest request;
  request.id = context.ids().next("health-");
  request.prompt = {0};
  request.max_tokens = 1;
  request.sampling.temperature = 0;
  std::vector<engine::GenerationRequest> requests;
  requests.push_back(std::move(request));
  const auto probe = std::make_shared<Probe>(Probe{exchange, nullptr});
  const auto submissions = context.require_model().generator->submit_all(
      std::move(requests), [probe] { probe->exchange->post([probe] { probe->look(); }); });
  if (submissions.front().outcome != engine::SubmitOutcome::kAccepted) {
    throw ApiError({.status = 503, .message = "no request can be taken now", .code = "queue_full", .retry_after_seconds = 1});
  }
  probe->stream = submissions.front().stream;
  exchange->watch({.gone = [stream = probe->stream] { stream->cancel(); }});
  probe->look();  // the token may have come before the stream was known
}

}  // namespace nvllm::server
