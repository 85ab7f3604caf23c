// POST /v1/completions.
#include <fmt/format.h>

#include <chrono>
#include <iterator>

#include "server/api_error.h"
#include "server/completion_request.h"
#include "server/endpoints.h"
#include "server/generation_call.h"

namespace nvllm::server {
namespace {

PromptInput encode_prompt(const ServedModel& model, const CompletionRequest& request,
                          const Prompt& prompt) {
  PromptInput input;
  if (const auto* ids = std::get_if<std::vector<std::int32_t>>(&prompt)) {
    input.ids = *ids;
    if (request.echo) input.text = model.tokenizer.decode(*ids, false);
    return input;
  }
  const auto& text = std::get<std::string>(prompt);
  const auto frame = request.add_special_tokens ? tokenizer::TextFrame::kPostProcessor
                                                : tokenizer::TextFrame::kBare;
  input.ids = model.tokenizer.encode(text, tokenizer::AddedTokens::kParse, frame);
  if (request.echo) input.text = text;
  return input;
}

}  // namespace

std::int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

RequestBounds bounds_of(const ServerContext& context, const ServedModel& model) {
  return {.limits = context.limits(), .vocab_size = model.generator->limits().vocab_size};
}

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

void serve_completion(ServerContext& context, const ExchangePtr& exchange) {
  const SteadyTime arrived = SystemClock().now();
  const ServedModel& model = context.require_model();
  const CompletionRequest request =
      parse_completion_request(exchange->request().body, bounds_of(context, model));
  check_model_name(context, request.fields.model);

  const std::string id = context.ids().next("cmpl-");
  const auto& limits = model.generator->limits();
  const EngineBounds bounds{limits.max_model_len, limits.eos_ids};
  std::vector<PromptInput> prompts;
  std::vector<engine::GenerationRequest> requests;
  std::int64_t prompt_token_count = 0;
  for (const Prompt& prompt : request.prompts) {
    prompts.push_back(encode_prompt(model, request, prompt));
    prompt_token_count += static_cast<std::int64_t>(prompts.back().ids.size());
    const std::string name =
        request.prompts.size() > 1 ? fmt::format("{}-p{}", id, prompts.size() - 1) : id;
    auto samples = make_requests(request.fields, prompts.back().ids, bounds, name);
    std::move(samples.begin(), samples.end(), std::back_inserter(requests));
  }
  check_logprob_cost(requests, context.limits());

  const std::string& shown = context.identity().model_names.front();
  ReplyContext reply{model.tokenizer,
                     {id, request.fields.model.empty() ? shown : request.fields.model, unix_time()},
                     request.fields.delivery,
                     request.fields.n,
                     std::move(prompts)};
  GenerationCall::start(
      {exchange, context, model, id, request.fields.delivery, text_options_of(request.fields),
       make_completion_format(std::move(reply), {request.echo, request.logprobs >= 0}),
       prompt_token_count, arrived},
      std::move(requests));
}

}  // namespace nvllm::server
