#pragma once

// What both completion endpoints do before they read their own fields and after they have prompts.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "server/endpoints.h"
#include "server/reply_format.h"

namespace nvllm::server {

/// A call that has begun.
struct CallStart {
  ServerContext& context;
  const ExchangePtr& exchange;
  const ServedModel& model;
  std::string id{};
  SteadyTime arrived{};
};

/// Notes when the call came and gives it an id.
///   Errors: ApiError 503 while the model loads.
CallStart begin_call(ServerContext& context, const ExchangePtr& exchange, const std::string& id_prefix);

using MakeFormat = std::function<std::unique_ptr<ReplyFormat>(ReplyContext)>;

/// Asks the engine for `fields.n` answers to each prompt and begins to reply in the given format.
/// `text` says how tokens become text, and is text_options_of(fields) where nothing else is known.
///   Errors: ApiError 400 if a prompt does not fit, or the log-probabilities asked for would take
///           more memory than a call may; those of GenerationCall::start.
void generate(const CallStart& start, const GenerationFields& fields,
              std::vector<PromptInput> prompts, TextOptions text, const MakeFormat& make_format);

}  // namespace nvllm::server
