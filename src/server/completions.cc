// POST /v1/completions.
#include "server/completion_request.h"
#include "server/endpoints.h"
#include "server/generate.h"

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

void serve_completion(ServerContext& context, const ExchangePtr& exchange) {
  const CallStart start = begin_call(context, exchange, "cmpl-");
  const CompletionRequest request =
      parse_completion_request(exchange->request().body, bounds_of(context, start.model));
  check_model_name(context, request.fields.model);
  std::vector<PromptInput> prompts;
  for (const Prompt& prompt : request.prompts) {
    prompts.push_back(encode_prompt(start.model, request, prompt));
  }
  generate(start, request.fields, std::move(prompts), text_options_of(request.fields),
           [&](ReplyContext reply) {
             return make_completion_format(std::move(reply), {request.echo, request.logprobs >= 0});
           });
}

}  // namespace nvllm::server
