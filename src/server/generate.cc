#include "server/generate.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>

#include "server/api_error.h"
#include "server/api_keys.h"
#include "server/generation_call.h"

namespace nvllm::server {
namespace {

void check_logprob_cost(const std::vector<engine::GenerationRequest>& requests,
                        const ServerLimits& limits) {
  std::int64_t entries = 0;  // cannot overflow: at most 128 requests of 2^31 tokens times 21
  for (const engine::GenerationRequest& request : requests) {
    const auto prompt = static_cast<std::int64_t>(request.prompt.size());
    entries += (request.sampling.top_logprobs + 1) * request.max_tokens;
    entries += (request.sampling.prompt_logprobs + 1) * prompt;
  }
  if (entries <= limits.logprob_entries_max) return;
  throw ApiError({.message = fmt::format("the call asks for up to {} log-probabilities (n times "
                                         "prompts times tokens times alternatives); at most {} are "
                                         "allowed: lower max_tokens, n or logprobs",
                                         entries, limits.logprob_entries_max),
                  .param = "logprobs"});
}

/// The requests of all prompts, in the order of the choices.
std::vector<engine::GenerationRequest> requests_of(const CallStart& start,
                                                   const GenerationFields& fields,
                                                   const std::vector<PromptInput>& prompts) {
  const engine::EngineLimits& limits = start.model.generator->limits();
  const EngineBounds bounds{limits.max_model_len, limits.eos_ids};
  std::vector<engine::GenerationRequest> requests;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const std::string name = prompts.size() > 1 ? fmt::format("{}-p{}", start.id, i) : start.id;
    auto samples = make_requests(fields, prompts[i].ids, bounds, name);
    std::move(samples.begin(), samples.end(), std::back_inserter(requests));
  }
  return requests;
}

}  // namespace

std::int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

RequestBounds bounds_of(const ServerContext& context, const ServedModel& model) {
  return {.limits = context.limits(), .vocab_size = model.generator->limits().vocab_size,
          .priorities = model.generator->limits().priority_scheduling};
}

CallStart begin_call(ServerContext& context, const ExchangePtr& exchange,
                     const std::string& id_prefix) {
  const SteadyTime arrived = SystemClock().now();
  return {context, exchange, context.require_model(), context.ids().next(id_prefix), arrived};
}

void generate(const CallStart& start, const GenerationFields& fields,
              std::vector<PromptInput> prompts, TextOptions text, const MakeFormat& make_format) {
  auto requests = requests_of(start, fields, prompts);
  const std::string salt = cache_salt_of(start.exchange->request(), fields.cache_salt);
  for (engine::GenerationRequest& request : requests) {
    request.cache_salt = salt;
    request.priority = fields.priority;
  }
  check_logprob_cost(requests, start.context.limits());
  std::int64_t prompt_token_count = 0;
  for (const PromptInput& prompt : prompts) {
    prompt_token_count += static_cast<std::int64_t>(prompt.ids.size());
  }
  const std::string& shown = start.context.identity().model_names.front();
  ReplyContext reply{start.model.tokenizer,
                     {start.id, fields.model.empty() ? shown : fields.model, unix_time()},
                     fields.delivery,
                     fields.n,
                     std::move(prompts)};
  GenerationCall::start({start.exchange, start.context, start.model, start.id, fields.delivery,
                         std::move(text), make_format(std::move(reply)), prompt_token_count,
                         static_cast<std::size_t>(fields.n), start.arrived},
                        std::move(requests));
}

}  // namespace nvllm::server
