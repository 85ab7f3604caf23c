// POST /v1/chat/completions.
#include "server/chat_prompt.h"
#include "server/endpoints.h"
#include "server/generate.h"

namespace nvllm::server {

void serve_chat_completion(ServerContext& context, const ExchangePtr& exchange) {
  const CallStart start = begin_call(context, exchange, "chatcmpl-");
  ChatRequest request =
      parse_chat_request(exchange->request().body, bounds_of(context, start.model));
  check_model_name(context, request.fields.model);
  PreparedChat chat = prepare_chat(start.model, request);
  request.fields.thinking = chat.thinking;
  request.fields.cache_points = std::move(chat.cache_points);
  TextOptions text = text_options_of(request.fields);
  text.reply = std::move(chat.reply);
  text.tag_ids = std::move(chat.tag_ids);
  std::vector<PromptInput> prompts(1);
  prompts.front().ids = std::move(chat.ids);
  generate(start, request.fields, std::move(prompts), std::move(text), [&](ReplyContext reply) {
    return make_chat_format(std::move(reply),
                            request.logprobs ? Logprobs::kReported : Logprobs::kNone);
  });
}

}  // namespace nvllm::server
