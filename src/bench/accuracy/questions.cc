#include "bench/accuracy/questions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include "base/error.h"
#include "base/hashing.h"
#include "bench/load/drain.h"

namespace nvllm::bench {

namespace {

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Characters, not bytes, as the published files count.
std::int64_t length_of(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::string token_digest(const std::vector<std::int32_t>& ids) {
  if (ids.empty()) return "";
  std::string text;
  for (const std::int32_t id : ids) text += fmt::format("{}\n", id);
  return sha256_hex(text);
}

std::optional<double> to_ms(std::optional<double> seconds) {
  if (!seconds) return std::nullopt;
  return *seconds * 1e3;
}

/// Before the answer is read: a complete one has none yet.
QuestionStatus status_of(GenerationEnd end) {
  switch (end) {
    case GenerationEnd::kDeadline:
      return QuestionStatus::kTimeout;
    case GenerationEnd::kHttpError:
      return QuestionStatus::kHttpError;
    case GenerationEnd::kLost:
      return QuestionStatus::kServerDied;
    case GenerationEnd::kComplete:
      break;
  }
  return QuestionStatus::kNoAnswer;
}

/// Nothing more is learnt by asking again.
bool settled(const QuestionResult& result) { return finished(result) || result.status == QuestionStatus::kTimeout; }

/// A question that is to be asked, and under which number.
struct Turn {
  std::int64_t prompt_index = 0, attempt = 1;
};

/// Whether a result answers this question, put this way. One without digests is believed.
bool same_prompt(const QuestionResult& result, const Question& question, const AskOptions& options) {
  const std::string prompt = prompt_of(options.format, question.question);
  return (result.question_sha256.empty() || result.question_sha256 == sha256_hex(question.question)) &&
         (result.prompt_sha256.empty() || result.prompt_sha256 == sha256_hex(prompt));
}

std::vector<Turn> turns_left(const QuestionSet& set, const AskOptions& options) {
  std::map<std::int64_t, std::pair<std::int64_t, bool>> known;  // attempts so far, settled
  for (const QuestionResult& result : options.kept) {
    const std::int64_t at = result.prompt_index;
    if (at < 1 || at > set.size() || !same_prompt(result, set.questions[static_cast<std::size_t>(at - 1)], options)) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("the kept result of question {} ({}) is of another question or template than {} "
                              "(n {}, {}, seed {}, {})",
                              at, result.qid, set.file_name, set.size(), to_string(set.choice.order), set.choice.seed,
                              to_string(options.format)));
    }
    auto& [attempts, is_settled] = known[at];
    attempts = std::max(attempts, result.attempt);
    is_settled = is_settled || settled(result);
  }
  std::vector<Turn> turns;
  for (std::int64_t at = 1; at <= set.size(); ++at) {
    const auto found = known.find(at);
    if (found == known.end()) turns.push_back({.prompt_index = at, .attempt = 1});
    if (found != known.end() && !found->second.second) {
      turns.push_back({.prompt_index = at, .attempt = found->second.first + 1});
    }
  }
  return turns;
}

void sort_results(std::vector<QuestionResult>& results) {
  std::ranges::stable_sort(results, {}, [](const QuestionResult& r) { return std::tuple(r.prompt_index, r.attempt); });
}

/// One run of questions: workers take turns until none is left or somebody stops.
class Asking {
 public:
  Asking(const QuestionSet& set, const AskOptions& options, const AskCallbacks& callbacks)
      : set_(set), options_(options), callbacks_(callbacks), turns_(turns_left(set, options)), results_(options.kept) {
    for (QuestionResult& one : results_) {
      // The published files record no readings: their score stands.
      if (one.answers.legacy.empty() && !one.pred.empty()) continue;
      score_answer(set_.questions[static_cast<std::size_t>(one.prompt_index - 1)], options_.score, one);
    }
  }

  std::vector<QuestionResult> run() {
    if (futile(results_, options_.futility)) stop(AskStop::kCensoredBySpeed, futility_words());
    {
      std::vector<std::jthread> workers;
      const auto count = std::min<std::int64_t>(options_.concurrency, static_cast<std::int64_t>(turns_.size()));
      for (std::int64_t i = 0; i < count; ++i) workers.emplace_back([this] { work(); });
    }
    if (fault_) std::rethrow_exception(fault_);
    sort_results(results_);
    return std::move(results_);
  }

 private:
  /// What a callback throws ends all workers and is thrown again by run().
  void work() {
    try {
      while (!stopped_) {
        const std::size_t turn = next_++;
        if (turn >= turns_.size()) return;
        ask(turns_[turn]);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!fault_) fault_ = std::current_exception();
      stopped_ = true;
    }
  }

  void ask(const Turn& turn) {
    const Question& question = set_.questions[static_cast<std::size_t>(turn.prompt_index - 1)];
    const double began = unix_seconds();
    ++in_flight_;
    const Generation answer = generate(options_.target,
                                       {.endpoint = endpoint_of(options_.format),
                                        .fields = prompt_fields(options_.format, question.question),
                                        .model = options_.model,
                                        .max_tokens = options_.max_tokens},
                                       options_.features, options_.deadline_s);
    --in_flight_;
    QuestionResult result = judge_answer(question, turn.prompt_index, answer, options_);
    result.attempt = turn.attempt;
    result.ts = began;
    settle(result);
    note(std::move(result));
  }

  /// What a failed request says about the server.
  void settle(QuestionResult& result) {
    if (result.status == QuestionStatus::kTimeout) {
      const Drain drain = wait_until_idle(
          options_.target, options_.features, [this] { return in_flight_.load(); }, options_.drain_max_s);
      result.drain_s = drain.waited_s;
      if (!drain.idle) {
        stop(AskStop::kNotDrained, fmt::format("question {} was cancelled and the server is still busy {:.1f} s later",
                                               result.prompt_index, drain.waited_s));
      }
    } else if (result.status == QuestionStatus::kServerDied) {
      if (answers_at_all(options_.target)) {
        result.status = QuestionStatus::kHttpError;  // it lost this answer, not its life
      } else {
        stop(AskStop::kServerDied, fmt::format("question {}: {}", result.prompt_index, result.output_tail));
      }
    }
  }

  void note(QuestionResult result) {
    const std::lock_guard lock(mutex_);
    results_.push_back(std::move(result));
    if (callbacks_.on_result && callbacks_.on_result(results_.back()) == AskMore::kNo) {
      stop_locked(AskStop::kCancelled, "the caller asked for no more");
    }
    if (futile(results_, options_.futility)) stop_locked(AskStop::kCensoredBySpeed, futility_words());
  }

  std::string futility_words() const {
    return fmt::format("at least {:.0f} % of the first {} questions took longer than {:.3f} s each",
                       100 * options_.futility.censored_share, options_.futility.after, options_.deadline_s);
  }

  void stop(AskStop reason, const std::string& why) {
    const std::lock_guard lock(mutex_);
    stop_locked(reason, why);
  }

  /// Only matters, and is only told, while there is something left to ask.
  void stop_locked(AskStop reason, const std::string& why) {
    if (stopped_.exchange(true) || next_ >= turns_.size()) return;
    if (callbacks_.on_stop) callbacks_.on_stop(reason, why);
  }

  const QuestionSet& set_;
  const AskOptions& options_;
  const AskCallbacks& callbacks_;
  const std::vector<Turn> turns_;
  std::mutex mutex_;
  std::vector<QuestionResult> results_;
  std::exception_ptr fault_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::int64_t> in_flight_{0};
  std::atomic<bool> stopped_{false};
};

}  // namespace

std::string_view to_string(AskStop stop) {
  constexpr std::array<std::string_view, 4> kNames = {"censored-by-speed", "server-died", "not-drained", "cancelled"};
  return kNames[static_cast<std::size_t>(stop)];
}

bool futile(std::span<const QuestionResult> results, const FutilityRule& rule) {
  if (rule.after <= 0) return false;
  std::map<std::int64_t, bool> censored;  // of the first questions
  for (const QuestionResult& result : results) {
    if (result.prompt_index <= rule.after) censored[result.prompt_index] |= result.censored;
  }
  if (static_cast<std::int64_t>(censored.size()) < rule.after) return false;
  const auto count = std::ranges::count_if(censored, [](const auto& one) { return one.second; });
  return static_cast<double>(count) >= rule.censored_share * static_cast<double>(rule.after);
}

QuestionResult judge_answer(const Question& question, std::int64_t prompt_index, const Generation& answer,
                            const AskOptions& options) {
  QuestionResult result;
  result.label = options.label;
  result.leg = options.leg;
  result.boot_id = options.boot_id;
  result.run_index = options.run_index;
  result.round = options.round;
  result.prompt_index = prompt_index;
  result.wall_time_s = answer.wall_s;
  result.prompt_tokens = answer.prompt_tokens;
  result.completion_tokens = answer.completion_tokens;
  // As the published files have it: all tokens over all the time.
  if (answer.wall_s > 0) result.decode_tok_s = static_cast<double>(answer.completion_tokens) / answer.wall_s;
  result.finish_reason = answer.finish_reason;
  result.request_id = answer.request_id;
  result.qid = question_id(question);
  result.question = question.question;
  result.question_sha256 = sha256_hex(question.question);
  result.prompt_sha256 = sha256_hex(prompt_of(options.format, question.question));
  result.deadline_s = options.deadline_s;
  result.ttft_ms = to_ms(answer.ttft_s());
  result.itl_p50_ms = to_ms(percentile_of(answer.itl_s(), 50));
  result.itl_p99_ms = to_ms(percentile_of(answer.itl_s(), 99));
  result.output_tail = answer.text;
  if (answer.end == GenerationEnd::kComplete) {
    result.output_len = length_of(answer.text);
    result.output_sha256 = sha256_hex(answer.text);
    result.token_ids_sha256 = token_digest(answer.token_ids);
    result.answers = extract_answers(answer.text);
    result.disagree = disagree(result.answers);
  } else if (answer.end != GenerationEnd::kDeadline) {
    result.output_tail = "ERROR: " + answer.error;
    result.finish_reason.clear();
  }
  result.status = status_of(answer.end);
  result.censored = result.status == QuestionStatus::kTimeout;
  score_answer(question, options.score, result);
  return result;
}

void score_answer(const Question& question, Extractor score, QuestionResult& result) {
  result.gold = gold_answer(question.solution, score);
  if (!finished(result)) return;
  result.pred = answer_of(result.answers, score);
  result.correct = !result.pred.empty() && result.pred == result.gold;
  result.status = result.correct        ? QuestionStatus::kOk
                  : result.pred.empty() ? QuestionStatus::kNoAnswer
                                        : QuestionStatus::kWrong;
}

std::vector<QuestionResult> latest_attempts(std::span<const QuestionResult> results) {
  std::map<std::int64_t, const QuestionResult*> latest;
  for (const QuestionResult& result : results) {
    const QuestionResult*& one = latest[result.prompt_index];
    if (one == nullptr || one->attempt < result.attempt) one = &result;
  }
  std::vector<QuestionResult> out;
  for (const auto& [index, result] : latest) out.push_back(*result);
  return out;
}

std::vector<QuestionResult> ask_questions(const QuestionSet& set, const AskOptions& options,
                                          const AskCallbacks& callbacks) {
  if (options.concurrency < 1 || options.max_tokens < 1 || !(options.deadline_s > 0) || options.drain_max_s < 0) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format(
            "concurrency {}, max_tokens {}, deadline {} s, drain {} s; wanted at least 1, 1, more than 0 s, 0 s",
            options.concurrency, options.max_tokens, options.deadline_s, options.drain_max_s));
  }
  // Refuses a bad address here, not in a thread.
  static_cast<void>(answers_at_all(options.target));
  return Asking(set, options, callbacks).run();
}

}  // namespace nvllm::bench
