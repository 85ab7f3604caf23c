#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/records/question.h"

namespace nvllm::bench {

/// One line of perq.jsonl with its '\n': the reference's fields and ours, in canonical form. A field
/// that is not known is null. Question and output texts are not part of it.
std::string perq_line(const QuestionResult& result);

/// The lines of several results.
std::string format_perq(std::span<const QuestionResult> results);

/// Reads perq.jsonl. A line may lack every field of ours, as the reference's lines do; then status
/// follows from `correct` and `finish_reason`, and nothing is taken for censored.
///   Errors: Error(kBadFile) naming the line and the field, and the line that repeats a key (boot,
///           question, attempt).
std::vector<QuestionResult> parse_perq(std::string_view text, std::string_view what);

}  // namespace nvllm::bench
