#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/records/question.h"

namespace nvllm::bench {

/// Which of a task's filters and metrics decides whether an answer is right.
struct LmEvalOptions {
  std::string leg = "";
  std::string filter = "strict-match";
  std::string metric = "exact_match";
};

/// Reads samples_TASK_DATE.jsonl. A task with several filters has a line per question and filter;
/// here they become one question with several answers. Times and token counts are not in the file.
///   Errors: Error(kNotFound); Error(kBadFile) naming the line and the field, a question without the
///           deciding filter, or the same question and filter twice.
///   Source: EleutherAI/lm-evaluation-harness, --log_samples.
std::vector<QuestionResult> import_lm_eval_samples(const std::filesystem::path& path,
                                                   const LmEvalOptions& options = {});

/// One score of results_DATE.json.
struct LmEvalScore {
  std::string task, metric, filter;  ///< of the key "exact_match,strict-match"
  double value = 0;
  std::optional<double> standard_error;
};

/// Reads the scores of results_DATE.json, in its order.
///   Errors: Error(kNotFound); Error(kBadFile) naming the field.
std::vector<LmEvalScore> import_lm_eval_results(const std::filesystem::path& path);

}  // namespace nvllm::bench
