#pragma once

// Runs a template's syntax tree.

#include <chrono>
#include <string>

#include "base/json.h"
#include "tokenizer/template/marked_text.h"
#include "tokenizer/template/syntax.h"

namespace nvllm::tokenizer {

/// Renders a template with `variables`, an object. Strings below its keys "messages", "tools" and
/// "documents" count as the user's, all others as the template's. `now` is what strftime_now prints
/// where no date_string is given.
///   Errors: Error(kUsage) with the line, or with the template's own words for raise_exception.
MarkedText render_template(const Block& block, std::string_view name, const Json& variables,
                           std::chrono::sys_seconds now);

}  // namespace nvllm::tokenizer
