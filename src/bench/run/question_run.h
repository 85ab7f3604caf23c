#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/problems.h"
#include "bench/records/question.h"
#include "bench/run/settings.h"

namespace nvllm::bench {

/// A question and its place in the data set.
struct DrawnProblem {
  Problem problem;
  std::int64_t index = 0;  ///< in the data set, from 0
};

/// The questions of a sweep, in the order they are put: the first ones, or as Python's random.sample draws them.
///   Errors: those of read_problems; Error(kBadFile) if the file is not the one declared, Error(kUsage) if it has
///           too few questions.
std::vector<DrawnProblem> draw_problems(const RunSettings& settings);

/// Whose answers they are.
struct AnswerOrigin {
  std::string leg, boot_id;
  std::int64_t round = 1, attempt = 1;
};

/// Puts the questions one after the other, greedily. A request that fails or takes longer than the deadline is a
/// result of its own; `after_each` hears every result and may throw.
std::vector<QuestionResult> put_questions(const std::string& url, const std::vector<DrawnProblem>& problems,
                                          const RunSettings& settings, const AnswerOrigin& origin,
                                          const std::function<void(const QuestionResult&)>& after_each);

}  // namespace nvllm::bench
