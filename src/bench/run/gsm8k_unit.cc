// The gsm8k phase: word problems one after the other, so that the wall time of an answer is that of
// its tokens.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.h"
#include "bench/accuracy/eval_folder.h"
#include "bench/accuracy/questions.h"
#include "bench/run/burst.h"
#include "bench/run/unit.h"

namespace nvllm::bench {

namespace {

/// Why questions stayed unasked.
struct Stopped {
  AskStop stop = AskStop::kCancelled;
  std::string why;
};

AskOptions ask_options(const UnitRun& unit, const UnitServer& server) {
  const RunSettings& settings = unit.run.settings;
  AskOptions options;
  options.target = server.target.target;
  options.model = server.target.model;
  options.features = server.features;
  // An event a token would cost a fifth of a small model's time, and the kernels' share of the wall
  // time is a gate. Where there are no kernels the events tell the first token's time.
  if (settings.server.kind->ours) options.features.streaming = server.target.features.streaming;
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

/// What earlier boots of the group left: how each ended and how many of its answers count here.
Json earlier_boots(const UnitRun& unit, const std::vector<QuestionResult>& kept) {
  Json boots = Json::array();
  std::set<std::string> known;  // an attempt's lines begin with those it kept itself
  for (const EarlierAttempt& one : unit.earlier) {
    std::set<std::string> own;
    for (const QuestionResult& left : results_in(one.folder)) {
      if (!known.contains(left.boot_id)) own.insert(left.boot_id);
    }
    known.insert(own.begin(), own.end());
    const auto counted = std::count_if(kept.begin(), kept.end(), [&](const QuestionResult& result) {
      return own.contains(result.boot_id);
    });
    boots.push_back(Json{{"attempt", one.attempt},
                         {"folder", one.place},
                         {"ended", one.ended},
                         {"boot_ids", own},
                         {"answers_kept", counted}});
  }
  return boots;
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
  if (!unit.earlier.empty()) facts.metadata["earlier_boots"] = earlier_boots(unit, folder.kept());
  facts.timestamp_iso = facts.metadata.at("timestamp_iso").get<std::string>();
  folder.finish(set, options, results, facts);
}

}  // namespace

std::vector<std::string> run_gsm8k_unit(UnitRun& unit) {
  const RunSettings& settings = unit.run.settings;
  const QuestionSet set = sweep_questions(settings);
  UnitServer server = start_server(unit, {});
  unit.tell("WARMING", 0.1);
  warm_up(server.target, settings.prompt, settings.warmup_tokens,
          std::max<std::int64_t>(settings.long_burst.max_tokens, 1), [&unit] { unit.breathe(); });
  EvalFolder folder(unit.folder, EvalResume::kRefuse);
  AskOptions options = ask_options(unit, server);
  options.kept = kept_answers(unit.earlier);
  if (!options.kept.empty()) folder.keep(options.kept);
  unit.tell("MEASURING", 0.15);
  auto answered = static_cast<std::int64_t>(options.kept.size());
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
  const std::vector<QuestionResult> results = ask_questions(set, options, callbacks);
  EvalFacts facts;
  for (const QuestionResult& one : results) facts.total_s += one.wall_time_s + one.drain_s;
  if (stopped) facts.stopped = to_string(stopped->stop);
  refuse_lost_answers(results, stopped);
  stop_server(unit, server);
  unit.tell("EXTRACTING", 0.97);
  std::error_code ignored;
  std::filesystem::remove_all(incoming_folder(unit), ignored);
  write_results(unit, folder, set, options, results, facts);
  std::vector<std::string> names = common_files(unit);
  for (const char* name : {"perq.jsonl", "outputs.jsonl", "gsm8k.json", "gsm8k_metadata.json"})
    names.emplace_back(name);
  return names;
}

}  // namespace nvllm::bench
