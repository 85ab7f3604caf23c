#pragma once

// One function per endpoint, each in a file of its own. They throw ApiError (or Error) for a
// request that cannot be served; the API turns that into an answer.

#include <memory>

#include "net/exchange.h"
#include "server/chat_request.h"
#include "server/server_context.h"

namespace nvllm::server {

using ExchangePtr = std::shared_ptr<net::Exchange>;

void serve_completion(ServerContext& context, const ExchangePtr& exchange);
void serve_chat_completion(ServerContext& context, const ExchangePtr& exchange);
void serve_models(ServerContext& context, const ExchangePtr& exchange);
void serve_health(ServerContext& context, const ExchangePtr& exchange);
void serve_health_generate(ServerContext& context, const ExchangePtr& exchange);
void serve_load(ServerContext& context, const ExchangePtr& exchange);
void serve_version(ServerContext& context, const ExchangePtr& exchange);
void serve_metrics(ServerContext& context, const ExchangePtr& exchange);
void serve_tokenize(ServerContext& context, const ExchangePtr& exchange);
void serve_detokenize(ServerContext& context, const ExchangePtr& exchange);
void serve_reset_prefix_cache(ServerContext& context, const ExchangePtr& exchange);
void serve_page(ServerContext& context, const ExchangePtr& exchange);
void serve_page_script(ServerContext& context, const ExchangePtr& exchange);
void serve_evidence(ServerContext& context, const ExchangePtr& exchange);
void serve_evidence_report(ServerContext& context, const ExchangePtr& exchange);
void serve_start_profile(ServerContext& context, const ExchangePtr& exchange);
void serve_stop_profile(ServerContext& context, const ExchangePtr& exchange);

/// Whether a new request could be answered.
///   Errors: ApiError 503 saying why not.
void require_health(const ServerContext& context);

/// Answers a call that ended by exception; counts it, and logs it if the fault is ours.
void refuse(ServerContext& context, const ExchangePtr& exchange, const std::exception& error);

/// Renders and encodes a chat. Text of messages never becomes a control token.
///   Errors: ApiError 400 if the model has no chat template, or with the template's own complaint.
std::vector<std::int32_t> encode_chat(const ServedModel& model, const ChatPrompt& prompt);

/// The numbers requests to this model are checked against.
RequestBounds bounds_of(const ServerContext& context, const ServedModel& model);

/// Seconds since 1970, for "created".
std::int64_t unix_time();

}  // namespace nvllm::server
