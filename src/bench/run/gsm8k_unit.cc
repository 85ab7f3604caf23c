// The gsm8k phase: word problems one after the other, so that the wall time of an answer is that of
// its tokens.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/error.h"
#include "bench/accuracy/eval_folder.h"
#include "bench/accuracy/questions.h"
#include "bench/run/burst.h"
#include "bench/run/unit.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace {

/// Why questions stayed unasked.
struct Stopped {
  AskStop stop = AskStop::kCancelled;
  std::string why;
};

AskOptions ask_options(const UnitRun& unit, const std::string& url) {
  const RunSettings& settings = unit.run.settings;
  AskOptions options;
  options.target.url = url;
  // An event a token would cost a fifth of a small model's time, and the kernels' share of the wall
  // time is a gate.
  options.features.streaming = false;
  options.format = settings.format;
  options.score = settings.score;
  options.max_tokens = settings.question_max_tokens;
  options.deadline_s = settings.deadline_s;
  options.futility = settings.futility;
  options.label = options.leg = unit.unit.leg;
  options.boot_id = unit.boot_id;
  options.run_index = options.round = unit.unit.round;
  return options;
}

/// A server that died or broke off took answers with it: the unit has to be run again. Too slow a
/// server is a result.
void refuse_lost_answers(const std::vector<QuestionResult>& results,
                         const std::optional<Stopped>& stopped) {
  for (const QuestionResult& one : results) {
    if (one.status != QuestionStatus::kServerDied && one.status != QuestionStatus::kHttpError)
      continue;
    throw Error(ErrorKind::kUnavailable,
                fmt::format("question {} ended as {}: {}", one.prompt_index, to_string(one.status),
                            one.output_tail));
  }
  if (!stopped || stopped->stop == AskStop::kCensoredBySpeed) return;
  throw Error(ErrorKind::kUnavailable,
              fmt::format("{}: {}", to_string(stopped->stop), stopped->why));
}

/// Writes what the answers come to. Which port the server had is of no interest to anyone.
void write_results(const UnitRun& unit, EvalFolder& folder, const QuestionSet& set,
                   AskOptions options, const std::vector<QuestionResult>& results,
                   EvalFacts facts) {
  options.target.url.clear();
  options.model = unit.run.settings.model_id;
  facts.metadata = unit_metadata(unit, "nvllm.gsm8k_metadata/v1");
  facts.timestamp_iso = facts.metadata.at("timestamp_iso").get<std::string>();
  folder.finish(set, options, results, facts);
}

}  // namespace

std::vector<std::string> run_gsm8k_unit(UnitRun& unit) {
  const RunSettings& settings = unit.run.settings;
  const QuestionSet set = sweep_questions(settings);
  const auto server = start_server(unit, {});
  unit.tell("WARMING", 0.1);
  net::HttpClient client(server->url());
  warm_up(client, settings.prompt, settings.warmup_tokens,
          std::max<std::int64_t>(settings.long_burst.max_tokens, 1), [&unit] { unit.breathe(); });
  unit.tell("MEASURING", 0.15);
  EvalFolder folder(unit.folder, EvalResume::kRefuse);
  std::int64_t answered = 0;
  std::optional<Stopped> stopped;
  AskCallbacks callbacks;
  callbacks.on_result = [&](const QuestionResult& result) {
    folder.add(result);
    unit.tell("MEASURING",
              0.15 + 0.8 * static_cast<double>(++answered) / static_cast<double>(set.size()));
    unit.breathe();
    return AskMore::kYes;
  };
  callbacks.on_stop = [&](AskStop stop, const std::string& why) { stopped = Stopped{stop, why}; };
  const AskOptions options = ask_options(unit, server->url());
  const SystemClock clock;
  const SteadyTime begin = clock.now();
  const std::vector<QuestionResult> results = ask_questions(set, options, callbacks);
  EvalFacts facts;
  facts.total_s = seconds_between(begin, clock.now());
  if (stopped) facts.stopped = to_string(stopped->stop);
  refuse_lost_answers(results, stopped);
  stop_server(unit, *server);
  unit.tell("EXTRACTING", 0.97);
  write_results(unit, folder, set, options, results, facts);
  return {"perq.jsonl", "outputs.jsonl", "gsm8k.json", "gsm8k_metadata.json", "serve.log"};
}

}  // namespace nvllm::bench
