// POST /v1/chat/completions.
#include "server/api_error.h"
#include "server/endpoints.h"
#include "server/generation_call.h"

namespace nvllm::server {

std::vector<std::int32_t> encode_chat(const ServedModel& model, const ChatPrompt& prompt) {
  if (!model.chat_template) {
    throw ApiError(
        {.message = "this model has no chat template; use /v1/completions", .param = "messages"});
  }
  Json variables = prompt.template_variables;
  variables["messages"] = prompt.messages;
  // Templates test these against none, so they are there, as transformers passes them.
  variables["tools"] = nullptr;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = prompt.add_generation_prompt;
  variables["bos_token"] = model.tokenizer.bos_token();
  variables["eos_token"] = model.tokenizer.eos_token();
  variables["pad_token"] = model.tokenizer.pad_token();
  try {
    return tokenizer::encode_pieces(model.tokenizer, model.chat_template->render(variables));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) throw;
    throw ApiError({.message = error.what(), .param = "messages"});
  }
}

void serve_chat_completion(ServerContext& context, const ExchangePtr& exchange) {
  const SteadyTime arrived = SystemClock().now();
  const ServedModel& model = context.require_model();
  const ChatRequest request =
      parse_chat_request(exchange->request().body, bounds_of(context, model));
  check_model_name(context, request.fields.model);

  const std::string id = context.ids().next("chatcmpl-");
  const auto& limits = model.generator->limits();
  PromptInput prompt{.ids = encode_chat(model, request.prompt)};
  const auto prompt_token_count = static_cast<std::int64_t>(prompt.ids.size());
  auto requests =
      make_requests(request.fields, prompt.ids, {limits.max_model_len, limits.eos_ids}, id);
  check_logprob_cost(requests, context.limits());

  const std::string& shown = context.identity().model_names.front();
  ReplyContext reply{model.tokenizer,
                     {id, request.fields.model.empty() ? shown : request.fields.model, unix_time()},
                     request.fields.delivery,
                     request.fields.n,
                     {}};
  reply.prompts.push_back(std::move(prompt));
  const Logprobs logprobs = request.logprobs ? Logprobs::kReported : Logprobs::kNone;
  GenerationCall::start(
      {exchange, context, model, id, request.fields.delivery, text_options_of(request.fields),
       make_chat_format(std::move(reply), logprobs), prompt_token_count, arrived},
      std::move(requests));
}

}  // namespace nvllm::server
