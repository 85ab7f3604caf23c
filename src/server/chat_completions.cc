// POST /v1/chat/completions.
#include "server/api_error.h"
#include "server/endpoints.h"
#include "server/generate.h"

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
  const CallStart start = begin_call(context, exchange, "chatcmpl-");
  const ChatRequest request =
      parse_chat_request(exchange->request().body, bounds_of(context, start.model));
  check_model_name(context, request.fields.model);
  std::vector<PromptInput> prompts(1);
  prompts.front().ids = encode_chat(start.model, request.prompt);
  generate(start, request.fields, std::move(prompts), [&](ReplyContext reply) {
    return make_chat_format(std::move(reply),
                            request.logprobs ? Logprobs::kReported : Logprobs::kNone);
  });
}

}  // namespace nvllm::server
