// The gsm8k phase: word problems one after the other, so that the wall time of an answer is that of its tokens.

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "bench/accuracy/questions.h"
#include "bench/run/burst.h"
#include "bench/run/unit.h"
#include "bench/store/canonical_json.h"
#include "bench/store/perq.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace {

/// Why questions stayed unasked.
struct Stopped {
  AskStop stop = AskStop::kCancelled;
  std::string why;
};

Json metadata_of(const UnitRun& unit, const QuestionSet& set, const std::optional<Stopped>& stopped) {
  const RunSettings& settings = unit.run.settings;
  Json json = unit_metadata(unit, "nvllm.gsm8k_metadata/v1");
  json["dataset"] = Json{{"file", set.file_name},
                         {"sha256", set.sha256},
                         {"n_total", set.n_total},
                         {"n", set.size()},
                         {"rng", std::string(to_string(set.choice.order))},
                         {"seed", set.choice.seed},
                         {"indices_sha256", indices_sha256(set)}};
  json["api"] = std::string(endpoint_of(settings.format));
  json["prompt"] = std::string(to_string(settings.format));
  json["prompt_template_sha256"] = template_sha256(settings.format);
  json["score"] = std::string(to_string(settings.score));
  json["max_tokens"] = settings.question_max_tokens;
  json["deadline_s"] = settings.deadline_s;
  json["concurrency"] = 1;
  if (stopped) json["stopped"] = Json{{"reason", std::string(to_string(stopped->stop))}, {"why", stopped->why}};
  return json;
}

AskOptions ask_options(const UnitRun& unit, const std::string& url) {
  const RunSettings& settings = unit.run.settings;
  AskOptions options;
  options.target.url = url;
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

/// A server that died or broke off took answers with it: the unit has to be run again. Too slow a server is a
/// result.
void refuse_lost_answers(const std::vector<QuestionResult>& results, const std::optional<Stopped>& stopped) {
  for (const QuestionResult& one : results) {
    if (one.status != QuestionStatus::kServerDied && one.status != QuestionStatus::kHttpError) continue;
    throw Error(ErrorKind::kUnavailable,
                fmt::format("question {} ended as {}: {}", one.prompt_index, to_string(one.status), one.output_tail));
  }
  if (!stopped || stopped->stop == AskStop::kCensoredBySpeed) return;
  throw Error(ErrorKind::kUnavailable, fmt::format("{}: {}", to_string(stopped->stop), stopped->why));
}

}  // namespace

std::vector<std::string> run_gsm8k_unit(UnitRun& unit) {
  const RunSettings& settings = unit.run.settings;
  const QuestionSet set = sweep_questions(settings);
  const auto server = start_server(unit, {});
  unit.tell("WARMING", 0.1);
  net::HttpClient client(server->url());
  warm_up(client, settings.prompt, settings.warmup_tokens, std::max<std::int64_t>(settings.long_burst.max_tokens, 1),
          [&unit] { unit.breathe(); });
  unit.tell("MEASURING", 0.15);
  std::vector<QuestionResult> so_far;
  std::optional<Stopped> stopped;
  AskCallbacks callbacks;
  callbacks.on_result = [&](const QuestionResult& result) {
    so_far.push_back(result);
    // Written as they come: a boot that dies keeps what it had answered.
    write_file_atomically(unit.folder / "perq.jsonl", format_perq(so_far));
    unit.tell("MEASURING", 0.15 + 0.8 * static_cast<double>(so_far.size()) / static_cast<double>(set.size()));
    unit.breathe();
    return AskMore::kYes;
  };
  callbacks.on_stop = [&](AskStop stop, const std::string& why) { stopped = Stopped{stop, why}; };
  const std::vector<QuestionResult> results = ask_questions(set, ask_options(unit, server->url()), callbacks);
  refuse_lost_answers(results, stopped);
  stop_server(unit, *server);
  unit.tell("EXTRACTING", 0.97);
  write_file_atomically(unit.folder / "perq.jsonl", format_perq(results));
  write_file_atomically(unit.folder / "gsm8k_metadata.json", readable_json(metadata_of(unit, set, stopped)));
  return {"perq.jsonl", "gsm8k_metadata.json", "serve.log"};
}

}  // namespace nvllm::bench
