#pragma once

// gsm8k.json and gsm8k_metadata.json as functions of the results: nothing here asks, times or
// writes. Every count is over the latest attempt of each question.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "bench/accuracy/questions.h"

namespace nvllm::bench {

/// Share of answers on which the readings differ, above which the score is an alarm.
inline constexpr double kDisagreementAlarm = 0.01;

/// What a run knows beside its questions and options.
struct EvalFacts {
  double total_s = 0;
  std::string timestamp_iso{};                  ///< when it began
  std::string stopped{};                        ///< to_string(AskStop), or empty
  std::optional<std::int64_t> floor{}, ship{};  ///< right answers that the gates want
  Json metadata = Json::object();               ///< further fields of gsm8k_metadata.json, as they are
};

/// The counts of a run.
struct EvalSummary {
  std::int64_t n = 0;      ///< planned
  std::int64_t asked = 0;  ///< with a result
  std::int64_t correct = 0, wrong = 0, no_answer = 0;
  std::int64_t censored = 0;  ///< cut off by the deadline
  std::int64_t errors = 0;    ///< without an answer, censored ones included, as the published files count
  std::int64_t disagreements = 0;
  double disagreement_share = 0;  ///< of the answers
  std::int64_t right_max = 0;     ///< if all that is unknown were right; `correct` is the least
  std::int64_t ended_by_length = 0;
  std::optional<double> tokens_mean, tokens_p95;  ///< of answers whose length is known

  std::int64_t answered() const { return correct + wrong + no_answer; }
};

/// Counts.
EvalSummary summarize(std::span<const QuestionResult> results, std::int64_t n);

/// gsm8k.json: the published shape (label, model, api, n, seed, correct, errors, accuracy,
/// total_seconds, results, gate_floor, gate_ship) with ours beside it.
Json gsm8k_json(const QuestionSet& set, const AskOptions& options, std::span<const QuestionResult> results,
                const EvalFacts& facts);

/// gsm8k_metadata.json: data set, choice, prompt, limits; what was asked of the server.
Json gsm8k_metadata(const QuestionSet& set, const AskOptions& options, const EvalFacts& facts);

/// outputs.jsonl: the whole texts, which perq.jsonl has only digests of.
std::string format_outputs(std::span<const QuestionResult> results);

/// Gives results read from perq.jsonl their texts again; lines of other results are ignored.
///   Errors: Error(kBadFile) naming the line.
void add_outputs(std::string_view outputs, std::string_view what, std::vector<QuestionResult>& results);

}  // namespace nvllm::bench
