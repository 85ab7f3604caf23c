#pragma once

// Puts a set of questions to a running server and keeps, for each, what came back and how it is
// scored. An answer cut off by the deadline is neither right nor wrong.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/accuracy/extractors.h"
#include "bench/accuracy/prompt.h"
#include "bench/accuracy/question_set.h"
#include "bench/load/generation.h"
#include "bench/records/question.h"

namespace nvllm::bench {

/// Stops a hopeless run: with the first `after` questions answered, at least this share cut off.
struct FutilityRule {
  std::int64_t after = 8;  ///< 0: never stops
  double censored_share = 0.75;
};

/// How the questions are put.
struct AskOptions {
  PostTarget target;
  std::string model;  ///< empty: the request names none
  ServerFeatures features;
  PromptTemplate format = PromptTemplate::kReference;
  Extractor score = Extractor::kLegacy;
  std::int64_t max_tokens = 512;
  std::int64_t concurrency = 1;
  double deadline_s = 180;
  double drain_max_s = 60;  ///< the wait for an idle server after a cancelled request
  FutilityRule futility;
  // What every result says of its run.
  std::string label, leg, boot_id;
  std::int64_t run_index = 0, round = 1;
  /// Results of an earlier call, of this server boot or one that counts as the same. They are returned
  /// again, scored by `score`; a question that has an answer or a timeout among them is not asked
  /// again, the others get a further attempt.
  std::vector<QuestionResult> kept;
};

/// Why the rest was not asked.
enum class AskStop {
  kCensoredBySpeed,  ///< the futility rule
  kServerDied,       ///< nothing answers any more
  kNotDrained,       ///< still busy with a cancelled request after drain_max_s
  kCancelled,        ///< on_result said so
};

/// "censored-by-speed", "server-died", "not-drained", "cancelled".
std::string_view to_string(AskStop stop);

/// Whether to go on.
enum class AskMore { kYes, kNo };

/// What the caller hears; one call at a time, from any thread.
struct AskCallbacks {
  /// After each question, kept ones excepted: the place to write a line of perq.jsonl.
  std::function<AskMore(const QuestionResult&)> on_result{};
  /// At most once, if questions stay unasked.
  std::function<void(AskStop stop, const std::string& why)> on_stop{};
};

/// Asks every question of the set that `kept` does not answer.
///   Returns: kept and new results by (prompt_index, attempt). Questions that were not asked have none.
///   Errors:  Error(kUsage) for a bad URL, impossible options, or kept results of other questions.
std::vector<QuestionResult> ask_questions(const QuestionSet& set, const AskOptions& options,
                                          const AskCallbacks& callbacks = {});

/// Whether the rule stops the run: its first `after` questions all have a result, and so large a
/// share of them was cut off.
[[nodiscard]] bool futile(std::span<const QuestionResult> results, const FutilityRule& rule);

/// The result of one generation: scored, timed, hashed.
QuestionResult judge_answer(const Question& question, std::int64_t prompt_index, const Generation& answer,
                            const AskOptions& options);

/// Scores an answer by one of its recorded readings; one that never came stays as it is.
void score_answer(const Question& question, Extractor score, QuestionResult& result);

/// The latest attempt of each question, by prompt_index: what counts.
std::vector<QuestionResult> latest_attempts(std::span<const QuestionResult> results);

}  // namespace nvllm::bench
