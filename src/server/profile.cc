// POST /start_profile and POST /stop_profile, as vLLM has them. Both may wait for a step, and the
// second writes files, so they are answered from a thread aside from the connections.
#include "server/api_error.h"
#include "server/endpoints.h"

namespace nvllm::server {
namespace {

Profiler& require_profiler(ServerContext& context) {
  Profiler* profiler = context.require_model().profiler.get();
  if (profiler != nullptr) return *profiler;
  throw ApiError(
      {.status = 404, .message = "profiling is off; start the server with --profile-dir DIR", .code = "profiling_off"});
}

/// Answers from the thread aside; what is thrown there becomes an answer, too.
template <class Work>
void answer_aside(ServerContext& context, const ExchangePtr& exchange, Work work) {
  context.aside().post([&context, exchange, work] {
    try {
      exchange->respond(work());
    } catch (const std::exception& error) {
      refuse(context, exchange, error);
    }
  });
}

}  // namespace

void serve_start_profile(ServerContext& context, const ExchangePtr& exchange) {
  answer_aside(context, exchange, [&profiler = require_profiler(context)] {
    if (profiler.start() == ProfileStart::kAlreadyRunning) {
      throw ApiError({.status = 409,
                      .message = "a profile is already running; POST /stop_profile ends it",
                      .code = "profile_running"});
    }
    return net::HttpResponse{};
  });
}

void serve_stop_profile(ServerContext& context, const ExchangePtr& exchange) {
  answer_aside(context, exchange, [&profiler = require_profiler(context)] {
    const std::optional<ProfileResult> result = profiler.stop();
    if (!result) {
      throw ApiError({.status = 409,
                      .message = "no profile is running; POST /start_profile begins one",
                      .code = "profile_not_running"});
    }
    Json answer;
    answer["folder"] = result->folder;
    answer["decode_steps"] = result->decode_steps;
    answer["prefills"] = result->prefills;
    answer["kernel_calls"] = result->kernel_calls;
    return net::HttpResponse{.body = dump_json(answer)};
  });
}

}  // namespace nvllm::server
