// `nvllm bench VERB`: what runs against a server by its URL, and what starts servers of its own.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "bench/accuracy/questions.h"
#include "bench/leg_table.h"
#include "bench/repeat.h"
#include "bench/server_process.h"
#include "bench/speed.h"
#include "bench/turns.h"
#include "cli/bench_evidence.h"
#include "cli/bench_import.h"
#include "cli/bench_sweep.h"
#include "cli/bench_urls.h"
#include "cli/command_table.h"
#include "kernels/fusion_plan.h"

namespace nvllm::cli {

namespace {

struct LegFlags {
  std::string model, problems, format = "completion";
  std::vector<std::string> legs = {"spelled-out", "lower8", "phaseE-off", "all-beta"};
  std::int64_t limit = 0, concurrency = 8, required = 0;
  bool json = false;
};

bench::LegResult run_leg(const std::string& leg, const bench::ServerProcess& server, const bench::QuestionSet& set,
                         const LegFlags& flags) {
  bench::AskOptions options;
  options.target.url = server.url();
  options.format = *bench::parse_prompt_template(flags.format);
  options.score = bench::Extractor::kStrict;
  options.max_tokens = 300;
  options.concurrency = flags.concurrency;
  options.deadline_s = 600;
  options.futility.after = 0;
  options.leg = options.label = leg;
  std::int64_t done = 0;
  const auto progress = progress_line(leg, set.size());
  bench::LegResult result{.leg = leg, .results = {}};
  const auto begin = std::chrono::steady_clock::now();
  result.results = bench::ask_questions(set, options, {.on_result = [&](const bench::QuestionResult&) {
                                          if (progress) progress(++done);
                                          return bench::AskMore::kYes;
                                        }});
  result.seconds = seconds_between(begin, std::chrono::steady_clock::now());
  if (result.failed() == static_cast<std::int64_t>(result.results.size())) {
    throw Error(ErrorKind::kUnavailable, fmt::format("leg {}: every request failed; the first: {}", leg,
                                                     result.results.front().output_tail));
  }
  return result;
}

Json json_of(const bench::LegResult& result, const bench::LegResult& first) {
  Json json;
  json["right"] = result.right();
  json["total"] = result.results.size();
  json["failed"] = result.failed();
  json["completion_tokens"] = result.completion_tokens();
  json["seconds"] = result.seconds;
  json["leg"] = result.leg;
  json["same_tokens"] = bench::same_tokens(result, first);
  return json;
}

/// Fails if too few answers are right, a request failed, or tokens differ from the first leg's.
int gate(const bench::LegResult& result, const bench::LegResult& first, const LegFlags& flags) {
  const bool passed =
      result.failed() == 0 && result.right() >= flags.required && bench::same_tokens(result, first);
  return passed ? kDone : kGateFailed;
}

int run_legs(const LegFlags& flags) {
  for (const std::string& leg : flags.legs) static_cast<void>(named_leg(leg));  // refuse before any work
  bench::QuestionSet set = bench::read_question_set(flags.problems, {});
  bench::keep_first(set, flags.limit);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  std::vector<bench::LegResult> results;
  for (const std::string& leg : flags.legs) {
    bench::ServerProcess server(program, {"--model", flags.model, "--leg", leg, "--log-level", "warning"});
    results.push_back(run_leg(leg, server, set, flags));
    if (const int status = server.stop(); status != 0) {
      throw Error(ErrorKind::kInternal, fmt::format("leg {}: the server ended with status {}", leg, status));
    }
  }
  int code = kDone;
  Json json = Json::array();
  for (const bench::LegResult& result : results) {
    json.push_back(json_of(result, results.front()));
    code = std::max(code, gate(result, results.front(), flags));
  }
  fmt::print("{}", flags.json ? dump_json(json) + "\n" : bench::leg_table(results));
  return code;
}

void add_problem_flags(CLI::App& app, LegFlags& flags) {
  app.add_option("--problems", flags.problems, "JSON lines of {question, answer}, GSM8K's format")->required();
  app.add_option("--limit", flags.limit, "Problems to put; 0: all")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--concurrency", flags.concurrency, "Requests in flight")->check(CLI::Range(1, 512))->capture_default_str();
  app.add_option("--format", flags.format, "How a problem is put")
      ->check(CLI::IsMember({"completion", "chat"}))->capture_default_str();
  app.add_option("--require", flags.required, "Right answers below which the exit code is 1")->capture_default_str();
  app.add_flag("--json", flags.json, "Print JSON");
}

struct SpeedFlags {
  bench::SpeedOptions options;
  std::string shape;
  bool json = false;
};

struct RepeatFlags {
  bench::RepeatOptions options;
  std::string shape;
  bool json = false;
};

/// What is run, and how: of decode, kernels, repeat and turns.
template <class Flags>
void add_model_flags(CLI::App& app, Flags& flags) {
  auto& o = flags.options;
  CLI::Option* model = app.add_option("--model", o.model, "Folder of a checkpoint, or synthetic:NAME");
  app.add_option("--shape", flags.shape, "The same as --model synthetic:NAME: random weights of a real geometry")->excludes(model);
  app.add_option("--device", o.engine.device, "Where to run")->check(CLI::IsMember({"auto", "cpu", "cuda"}))->capture_default_str();
  app.add_option("--kv-cache-dtype", o.engine.kv_cache_dtype, "Number format of keys and values: auto, bf16, or on a GPU fp8_e4m3")->capture_default_str();
  app.add_option("--mamba-ssm-cache-dtype", o.engine.state_dtype, "Number format of recurrent state: auto, float32, or on a GPU bfloat16")
      ->capture_default_str();
  CLI::Option* leg = app.add_option("--leg", o.engine.leg, "Which kernels are fused")->capture_default_str();
  app.add_option("--prefill-activations", o.engine.prefill_activations, "As `serve --prefill-activations`")->check(CLI::IsMember({"auto", "bf16", "nvfp4"}))->capture_default_str();
  app.add_flag("--deterministic", o.engine.deterministic, "As `serve --deterministic`");
  app.add_option("--fusion", o.engine.fusion, "A fusion plan without a name, as `serve --fusion` takes it")->excludes(leg);
  app.add_option("--threads", o.engine.thread_count, "CPU workers; 0: one per core")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--json", flags.json, "Print JSON");
}

template <class Flags>
void settle_model(Flags& flags) {
  if (!flags.shape.empty()) flags.options.model = "synthetic:" + flags.shape;
  if (flags.options.model.empty()) throw Error(ErrorKind::kUsage, "give --model DIR or --shape NAME");
}

void add_repeat_flags(CLI::App& app, RepeatFlags& flags) {
  bench::RepeatOptions& o = flags.options;
  add_model_flags(app, flags);
  app.add_option("--batch", o.batch, "Sequences of the same request that decode together")->check(CLI::Range(1, 512))->capture_default_str();
  app.add_option("--prompt-tokens", o.prompt_tokens, "Tokens of the prompt")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--tokens", o.tokens, "Tokens drawn each time")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--seconds", o.seconds, "How long; at least twice")->check(CLI::NonNegativeNumber)->capture_default_str();
}

int run_repeat(RepeatFlags& flags) {
  settle_model(flags);
  const bench::RepeatReport report = bench::repeat_request(flags.options);
  fmt::print("{}", flags.json ? dump_json(bench::repeat_json(report)) + "\n" : bench::repeat_summary(report));
  return report.others.empty() ? kDone : kGateFailed;
}

struct TurnsFlags {
  bench::TurnsOptions options;
  std::string shape;
  bool json = false;
};

void add_turns_flags(CLI::App& app, TurnsFlags& flags) {
  bench::TurnsOptions& o = flags.options;
  add_model_flags(app, flags);
  app.add_option("--context", o.context, "Tokens of the first turn")->check(CLI::Range(16, 1 << 20))->capture_default_str();
  app.add_option("--added", o.added, "Tokens that the second turn adds")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--rounds", o.rounds, "Second turns to time")->check(CLI::Range(1, 1000))->capture_default_str();
}

/// Fails if the second turn did not go on from all of the first, or gave other bits where equal ones are promised.
int run_turns(TurnsFlags& flags) {
  settle_model(flags);
  const bench::TurnsReport report = bench::measure_turns(flags.options);
  fmt::print("{}", flags.json ? dump_json(bench::turns_json(report)) + "\n" : bench::turns_summary(report));
  const bool promised = flags.options.engine.deterministic || !report.device.starts_with("cuda");
  return report.cached_tokens == report.context && (report.same_bits || !promised) ? kDone : kGateFailed;
}

void add_speed_flags(CLI::App& app, SpeedFlags& flags) {
  bench::SpeedOptions& o = flags.options;
  add_model_flags(app, flags);
  app.add_option("--batch", o.batch, "Sequences that decode together")->check(CLI::Range(1, 512))->capture_default_str();
  app.add_option("--context", o.context, "Prompt tokens of each sequence")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--steps", o.steps, "Decode steps to time")->check(CLI::Range(1, 100000))->capture_default_str();
}

/// `details`: what is printed below the summary.
int run_speed(SpeedFlags& flags, const std::function<std::string(const bench::SpeedReport&)>& details) {
  settle_model(flags);
  const bench::SpeedReport report = bench::measure_speed(flags.options);
  fmt::print("{}", flags.json ? dump_json(bench::speed_json(report)) + "\n" : bench::speed_summary(report) + details(report));
  return kDone;
}

}  // namespace

void configure_bench(CLI::App& app, Action& action) {
  app.require_subcommand(1);
  const auto urls = add_url_verbs(app);
  const auto leg_flags = std::make_shared<LegFlags>();
  CLI::App* legs = app.add_subcommand("legs", "eval for several fusion plans, each in a server of its own");
  legs->add_option("--model", leg_flags->model, "Folder of a checkpoint")->required();
  legs->add_option("--legs", leg_flags->legs, "Comma-separated; the first is what others are compared with")
      ->delimiter(',')->capture_default_str();
  add_problem_flags(*legs, *leg_flags);
  const auto decode_flags = std::make_shared<SpeedFlags>(), kernel_flags = std::make_shared<SpeedFlags>();
  CLI::App* decode = app.add_subcommand("decode", "Prefill and decode speed of one model, and its share of the roofline");
  add_speed_flags(*decode, *decode_flags);
  CLI::App* kernels = app.add_subcommand("kernels", "The same with every kernel: time, bytes, share of the read sweep");
  add_speed_flags(*kernels, *kernel_flags);
  const auto repeat_flags = std::make_shared<RepeatFlags>();
  CLI::App* repeat = app.add_subcommand("repeat", "Puts one request again and again and compares the bits of all logits; 1 if any differ");
  add_repeat_flags(*repeat, *repeat_flags);
  const auto turns_flags = std::make_shared<TurnsFlags>();
  CLI::App* turns = app.add_subcommand("turns", "What the second turn of a conversation costs with the prefix cache and without; 1 if it does not go on from the first");
  add_turns_flags(*turns, *turns_flags);
  const auto evidence = add_evidence_verbs(app), sweep = add_sweep_verbs(app), import = add_import_verb(app);
  action = [=] {
    if (const auto code = evidence()) return *code;
    if (const auto code = sweep()) return *code;
    if (const auto code = urls()) return *code;
    if (const auto code = import()) return *code;
    if (legs->parsed()) return run_legs(*leg_flags);
    if (turns->parsed()) return run_turns(*turns_flags);
    if (repeat->parsed()) return run_repeat(*repeat_flags);
    if (decode->parsed()) return run_speed(*decode_flags, [](const auto&) { return std::string(); });
    return run_speed(*kernel_flags, bench::kernel_table);
  };
}

}  // namespace nvllm::cli
