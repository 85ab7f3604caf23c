#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/request.h"
#include "server/chat_request.h"
#include "server/parsers/reply_reader.h"
#include "server/server_context.h"

namespace nvllm::server {

/// A chat as the engine gets it, and what to expect of the reply.
struct PreparedChat {
  std::vector<std::int32_t> ids{};
  std::optional<ReplySyntax> reply{};   ///< nothing: the reply is plain content
  std::vector<std::int32_t> tag_ids{};  ///< special tokens that are tags of the reply
  std::optional<engine::ThinkingBudget> thinking{};
  std::vector<std::int64_t> cache_points{};  ///< tokens before the reply's own beginning, where a next turn may part
};

/// Renders and encodes a chat whose reply is to be read. Whether thoughts are open is decided by
/// how the rendered prompt ends. A call that the client demands is begun in the prompt, in the
/// model's own format: the reply goes on from there.
///   Errors: ApiError 400 as encode_chat; for tools where the model's template has no calls; for a
///           thinking budget where the model does not think or its tokenizer has no such tokens.
PreparedChat prepare_chat(const ServedModel& model, const ChatRequest& request);

}  // namespace nvllm::server
