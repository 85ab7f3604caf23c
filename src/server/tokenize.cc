// POST /tokenize and POST /detokenize, as vLLM has them: a prompt or a chat to ids, and back.
#include <limits>

#include "server/api_error.h"
#include "server/completion_request.h"
#include "server/endpoints.h"

namespace nvllm::server {
namespace {

std::vector<std::int32_t> encode_body(const ServedModel& model, const Fields& fields,
                                      const RequestBounds& bounds) {
  if (fields.find("messages") != nullptr) {
    return encode_chat(model, parse_chat_prompt(fields, bounds));
  }
  const auto prompt = fields.text("prompt");
  if (!prompt) throw bad_field("prompt", "or messages is required");
  const bool framed = fields.flag("add_special_tokens").value_or(true);
  return model.tokenizer.encode(
      *prompt, tokenizer::AddedTokens::kParse,
      framed ? tokenizer::TextFrame::kPostProcessor : tokenizer::TextFrame::kBare);
}

}  // namespace

void serve_tokenize(ServerContext& context, const ExchangePtr& exchange) {
  const ServedModel& model = context.require_model();
  const RequestBounds bounds = bounds_of(context, model);
  const Json body = parse_body(exchange->request().body, bounds.limits);
  const Fields fields(body);
  check_model_name(context, fields.text("model").value_or(""));
  const std::vector<std::int32_t> ids = encode_body(model, fields, bounds);
  Json answer;
  answer["count"] = ids.size();
  answer["max_model_len"] = model.generator->limits().max_model_len;
  answer["tokens"] = ids;
  answer["token_strs"] = nullptr;
  if (fields.flag("return_token_strs").value_or(false)) {
    answer["token_strs"] = Json::array();
    for (const std::int32_t id : ids) {
      answer["token_strs"].push_back(model.tokenizer.decode({id}, false));
    }
  }
  exchange->respond({.body = dump_json(answer)});
}

void serve_detokenize(ServerContext& context, const ExchangePtr& exchange) {
  const ServedModel& model = context.require_model();
  const RequestBounds bounds = bounds_of(context, model);
  const Json body = parse_body(exchange->request().body, bounds.limits);
  const Fields fields(body);
  check_model_name(context, fields.text("model").value_or(""));
  const auto ids =
      fields.ids("tokens", bounds.vocab_size, std::numeric_limits<std::int64_t>::max());
  if (!ids) throw bad_field("tokens", "is required");
  Json answer;
  answer["prompt"] = model.tokenizer.decode(*ids, false);
  exchange->respond({.body = dump_json(answer)});
}

}  // namespace nvllm::server
