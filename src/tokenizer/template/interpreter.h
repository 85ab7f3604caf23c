#pragma once

// Runs a template's syntax tree.

#include <string>

#include "base/json.h"
#include "tokenizer/template/marked_text.h"
#include "tokenizer/template/syntax.h"

namespace nvllm::tokenizer {

/// Renders a template with `variables`, an object. Strings below its keys "messages", "tools" and
/// "documents" count as the user's, all others as the template's.
///   Errors: Error(kUsage) with the line, or with the template's own words for raise_exception.
MarkedText render_template(const Block& block, std::string_view name, const Json& variables);

}  // namespace nvllm::tokenizer
