// The gsm8k phase: word problems one after the other, so that the wall time of an answer is that of its tokens.

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/hashing.h"
#include "bench/run/burst.h"
#include "bench/run/question_run.h"
#include "bench/run/unit.h"
#include "bench/store/canonical_json.h"
#include "bench/store/file_digest.h"
#include "bench/store/perq.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace {

Json metadata_of(const UnitRun& unit, const std::vector<DrawnProblem>& problems) {
  const RunSettings& settings = unit.run.settings;
  Json indices = Json::array();
  for (const DrawnProblem& drawn : problems) indices.push_back(drawn.index);
  Json json = unit_metadata(unit, "nvllm.gsm8k_metadata/v1");
  json["dataset"] = Json{{"sha256", digest_file(settings.problems).sha256},
                         {"rng", settings.python_sample ? "python-random-sample" : "first"},
                         {"seed", settings.seed},
                         {"n", settings.questions},
                         {"indices_sha256", sha256_hex(std::string_view(dump_json(indices)))}};
  json["api"] = "/v1/completions";
  json["max_tokens"] = settings.question_max_tokens;
  json["deadline_s"] = settings.deadline_s;
  json["concurrency"] = 1;
  json["score"] = settings.score;
  return json;
}

/// A server that died took the remaining questions with it: the unit has to be run again.
void refuse_dead_server(const std::vector<QuestionResult>& results) {
  const auto dead = std::find_if(results.begin(), results.end(), [](const QuestionResult& one) {
    return one.status == QuestionStatus::kServerDied || one.status == QuestionStatus::kHttpError;
  });
  if (dead == results.end()) return;
  throw Error(ErrorKind::kUnavailable, fmt::format("question {} ended as {}: the server gave no answer to score",
                                                   dead->prompt_index, to_string(dead->status)));
}

}  // namespace

std::vector<std::string> run_gsm8k_unit(UnitRun& unit) {
  const RunSettings& settings = unit.run.settings;
  const std::vector<DrawnProblem> problems = draw_problems(settings);
  const auto server = start_server(unit, {});
  unit.tell("WARMING", 0.1);
  net::HttpClient client(server->url());
  warm_up(client, settings.prompt, settings.warmup_tokens, std::max<std::int64_t>(settings.long_burst.max_tokens, 1),
          [&unit] { unit.breathe(); });
  unit.tell("MEASURING", 0.15);
  std::vector<QuestionResult> so_far;
  const auto after_each = [&](const QuestionResult& result) {
    so_far.push_back(result);
    // Written as they come: a boot that dies keeps what it had answered.
    write_file_atomically(unit.folder / "perq.jsonl", format_perq(so_far));
    const double share = static_cast<double>(so_far.size()) / static_cast<double>(problems.size());
    unit.tell("MEASURING", 0.15 + 0.8 * share);
    unit.breathe();
  };
  const std::vector<QuestionResult> results =
      put_questions(server->url(), problems, settings,
                    {.leg = unit.unit.leg, .boot_id = unit.boot_id, .round = unit.unit.round, .attempt = unit.attempt},
                    after_each);
  refuse_dead_server(results);
  stop_server(unit, *server);
  unit.tell("EXTRACTING", 0.97);
  write_file_atomically(unit.folder / "perq.jsonl", format_perq(results));
  write_file_atomically(unit.folder / "gsm8k_metadata.json", readable_json(metadata_of(unit, problems)));
  return {"perq.jsonl", "gsm8k_metadata.json", "serve.log"};
}

}  // namespace nvllm::bench
