#pragma once

#include "server/fields.h"
#include "server/limits.h"

namespace nvllm::server {

/// Reads `messages` into what templates want: content as one string, arguments of calls as
/// objects, reasoning as `reasoning_content`.
///   Errors: ApiError 400 naming the field.
Json parse_messages(const Fields& fields, const ServerLimits& limits);

}  // namespace nvllm::server
