#include "cli/bench_urls.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "bench/accuracy/eval_folder.h"
#include "bench/accuracy/questions.h"
#include "bench/accuracy/summary.h"
#include "bench/load/capabilities.h"
#include "bench/load/load.h"
#include "bench/load/profile_run.h"
#include "bench/store/canonical_json.h"
#include "bench/store/kernel_csv.h"
#include "cli/command_table.h"

namespace nvllm::cli {

namespace {

namespace fs = std::filesystem;

/// The server that a verb drives.
struct TargetFlags {
  std::string url, key_file;
};

struct EvalFlags {
  TargetFlags target;
  std::string problems, model, out;
  std::string format = "completion", prompt, rng = "first", extractor = "strict";
  std::int64_t limit = 0, n = 0, seed = 42, concurrency = 8, required = 0, max_tokens = 300;
  double deadline_s = 600, drain_s = 60;
  bool json = false, resume = false;
};

struct LoadFlags {
  TargetFlags target;
  bench::LoadOptions options;
  std::string out;
  double rate = 0;
  std::int64_t prompt_tokens = 64;
  bool json = false;
};

struct ProfileFlags {
  TargetFlags target;
  bench::ProfileOptions options;
  std::string traces, out;
  bool json = false;
};

/// With the key that its file's first line holds.
bench::PostTarget target_of(const TargetFlags& flags) {
  bench::PostTarget target{.url = flags.url, .api_key = ""};
  if (flags.key_file.empty()) return target;
  const std::string text = read_file(flags.key_file, 1 << 16);
  target.api_key = text.substr(0, text.find_first_of("\r\n"));
  if (!target.api_key.empty()) return target;
  throw Error(ErrorKind::kUsage,
              fmt::format("--api-key-file {}: its first line is empty, wanted a key", flags.key_file));
}

std::string now_iso() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

/// The model that requests name: the one asked for, or the first one listed.
std::string model_of(const std::string& wanted, const bench::Capabilities& found) {
  if (!wanted.empty()) return wanted;
  return found.models.empty() ? "" : found.models.front();
}

/// The leg whose folder that is: FOLDER/LEG or FOLDER/LEG/rounds/NN/gsm8k.
std::string leg_of(const fs::path& out) {
  if (out.empty()) return "eval";
  fs::path folder = fs::absolute(out).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  const fs::path above = folder.parent_path().parent_path();
  return (above.filename() == "rounds" ? above.parent_path() : folder).filename().string();
}

bench::AskOptions ask_options(const EvalFlags& flags, const bench::Capabilities& found) {
  bench::AskOptions options;
  options.target = target_of(flags.target);
  options.model = model_of(flags.model, found);
  options.features = bench::features_of(found);
  options.format = *bench::parse_prompt_template(flags.prompt.empty() ? flags.format : flags.prompt);
  options.score = *bench::parse_extractor(flags.extractor);
  options.max_tokens = flags.max_tokens;
  options.concurrency = flags.concurrency;
  options.deadline_s = flags.deadline_s;
  options.drain_max_s = flags.drain_s;
  options.label = options.leg = leg_of(flags.out);
  return options;
}

bench::QuestionChoice choice_of(const EvalFlags& flags) {
  return {
      .order = *bench::parse_question_order(flags.rng), .seed = static_cast<std::uint64_t>(flags.seed), .n = flags.n};
}

void print_json(const bench::EvalSummary& sum, std::int64_t tokens, const bench::EvalFacts& facts) {
  Json json;
  json["right"] = sum.correct;
  json["total"] = sum.n;
  json["failed"] = sum.errors;
  json["completion_tokens"] = tokens;
  json["seconds"] = facts.total_s;
  json["asked"] = sum.asked;
  json["wrong"] = sum.wrong;
  json["no_answer"] = sum.no_answer;
  json["censored"] = sum.censored;
  json["right_max"] = sum.right_max;
  json["disagreement_share"] = sum.disagreement_share;
  json["stopped"] = facts.stopped.empty() ? Json(nullptr) : Json(facts.stopped);
  fmt::print("{}\n", dump_json(json));
}

void print_text(const bench::EvalSummary& sum, std::int64_t tokens, const bench::EvalFacts& facts,
                const std::string& why) {
  fmt::print("{} of {} right, {} failed, {} tokens in {:.2f} s ({:.0f} tokens/s)\n", sum.correct, sum.n, sum.errors,
             tokens, facts.total_s, facts.total_s > 0 ? static_cast<double>(tokens) / facts.total_s : 0.0);
  if (sum.right_max > sum.correct) {
    fmt::print("{} cut off by the deadline, {} not asked: right answers lie between {} and {} of {}\n", sum.censored,
               sum.n - sum.asked, sum.correct, sum.right_max, sum.n);
  }
  if (sum.no_answer > 0) fmt::print("{} answers hold no number that the extractor reads\n", sum.no_answer);
  if (sum.disagreement_share > bench::kDisagreementAlarm) {
    fmt::print("alarm: the readings differ on {} of {} answers; the score depends on which one counts\n",
               sum.disagreements, sum.answered());
  }
  if (!facts.stopped.empty()) fmt::print("stopped, {}: {}\n", facts.stopped, why);
}

/// As the old verb: a failed request or too few right answers fail the gate. A run that was stopped
/// has decided nothing.
int eval_code(const bench::EvalSummary& sum, const EvalFlags& flags, const std::string& stopped) {
  if (stopped == bench::to_string(bench::AskStop::kCensoredBySpeed)) return kInconclusive;
  if (!stopped.empty()) return kUnavailable;
  return sum.errors == 0 && sum.correct >= flags.required ? kDone : kGateFailed;
}

/// Where every question failed, its words are what the caller needs to hear.
void require_any_answer(std::span<const bench::QuestionResult> results, const std::string& url) {
  for (const bench::QuestionResult& result : results) {
    if (bench::finished(result) || result.censored) return;
  }
  if (results.empty()) return;
  throw Error(ErrorKind::kUnavailable,
              fmt::format("{}: every request failed; the first: {}", url, results.front().output_tail));
}

int run_eval(const EvalFlags& flags) {
  bench::QuestionSet set = bench::read_question_set(flags.problems, choice_of(flags));
  bench::keep_first(set, flags.limit);
  std::optional<bench::EvalFolder> folder;
  if (!flags.out.empty()) {
    folder.emplace(flags.out, flags.resume ? bench::EvalResume::kContinue : bench::EvalResume::kRefuse);
  }
  const bench::Capabilities found = bench::probe_capabilities(target_of(flags.target), flags.model);
  if (folder) folder->write_json("capabilities.json", bench::capabilities_json(found));
  bench::AskOptions options = ask_options(flags, found);
  bench::EvalFacts facts{.timestamp_iso = now_iso()};
  facts.metadata["tool"] = Json{{"name", "nvllm"}, {"version", NVLLM_VERSION}};
  facts.metadata["deviations"] = bench::capabilities_json(found).at("deviations");
  if (flags.required > 0) facts.ship = flags.required;
  if (folder) options.kept = folder->kept();
  // To resume means to go on with the same server: its results stay in one group.
  options.boot_id = options.kept.empty() ? facts.timestamp_iso : options.kept.front().boot_id;

  std::int64_t done = 0, tokens = 0;
  std::string why;
  const auto progress = progress_line("eval", set.size());
  const auto begin = std::chrono::steady_clock::now();
  const auto results = bench::ask_questions(set, options,
                                            {.on_result =
                                                 [&](const bench::QuestionResult& result) {
                                                   if (folder) folder->add(result);
                                                   tokens += result.completion_tokens;
                                                   if (progress) progress(++done);
                                                   return bench::AskMore::kYes;
                                                 },
                                             .on_stop =
                                                 [&](bench::AskStop stop, const std::string& words) {
                                                   facts.stopped = bench::to_string(stop);
                                                   why = words;
                                                 }});
  facts.total_s = seconds_between(begin, std::chrono::steady_clock::now());
  if (folder) {
    bench::EvalFacts written = facts;
    // Of a run in parts nobody has watched the whole clock: the requests' own times, added up.
    for (const bench::QuestionResult& one : options.kept) written.total_s += one.wall_time_s;
    folder->finish(set, options, results, written);
  }
  require_any_answer(results, flags.target.url);
  const bench::EvalSummary sum = bench::summarize(results, set.size());
  flags.json ? print_json(sum, tokens, facts) : print_text(sum, tokens, facts, why);
  return eval_code(sum, flags, facts.stopped);
}

int run_load(LoadFlags& flags) {
  bench::LoadOptions& options = flags.options;
  options.target = target_of(flags.target);
  const bench::Capabilities found = bench::probe_capabilities(options.target, options.model);
  options.model = model_of(options.model, found);
  options.features = bench::features_of(found);
  if (flags.rate > 0) options.rate_per_s = flags.rate;
  options.prompt_words = bench::words_for_tokens(options, flags.prompt_tokens).value_or(flags.prompt_tokens);
  bench::LoadResult result = bench::run_load(options, progress_line("load", options.requests));
  result.settings["date"] = now_iso();
  result.settings["label"] = "nvllm " NVLLM_VERSION;
  const Json json = bench::vllm_bench_json(result);
  if (!flags.out.empty()) write_file_atomically(flags.out, dump_json(json) + "\n");
  for (const auto& one : bench::deviations_of(found)) fmt::print(stderr, "nvllm: {} ({})\n", one.rule, one.reason);
  fmt::print("{}", flags.json ? dump_json(json) + "\n" : bench::load_summary(result));
  return result.failed == 0 ? kDone : kGateFailed;
}

/// Where the law does not hold for every kernel, the counts are not understood.
int run_profile(ProfileFlags& flags) {
  bench::ProfileOptions& options = flags.options;
  options.target = target_of(flags.target);
  options.traces = flags.traces;
  const bench::Capabilities found = bench::probe_capabilities(options.target, options.model);
  options.model = model_of(options.model, found);
  options.features = bench::features_of(found);
  const bench::ProfileRun run = bench::run_profile(options);
  if (!flags.out.empty()) {
    const fs::path out = flags.out;
    if (bench::lies_in_closed_folder(out)) {
      throw Error(ErrorKind::kUsage, fmt::format("--out {}: closed by a manifest; name another folder", flags.out));
    }
    fs::create_directories(out);
    Json metadata{{"schema", "nvllm.profile_metadata/v1"}, {"timestamp_iso", now_iso()}, {"model", options.model}};
    metadata["workload"] = Json{{"requests", options.requests}, {"max_tokens", run.longer.tokens}};
    metadata["tool"] = Json{{"name", "nvllm"}, {"version", NVLLM_VERSION}};
    write_file_atomically(out / "kernels.csv", bench::format_kernels(run.longer.table, &run.law));
    write_file_atomically(out / "kernels_short.csv", bench::format_kernels(run.shorter.table, nullptr));
    write_file_atomically(out / "call_law.json", bench::readable_json(bench::law_json(run)));
    write_file_atomically(out / "capabilities.json", bench::readable_json(bench::capabilities_json(found)));
    write_file_atomically(out / "profile_metadata.json", bench::readable_json(metadata));
  }
  fmt::print("{}", flags.json ? dump_json(bench::law_json(run)) + "\n" : bench::law_table(run));
  return run.law.residual_rows == 0 && run.longer.findings.empty() && run.shorter.findings.empty() ? kDone
                                                                                                   : kGateFailed;
}

void add_target_flags(CLI::App& app, TargetFlags& flags) {
  app.add_option("url", flags.url, "http://host:port of any OpenAI-compatible server")->required();
  app.add_option("--api-key-file", flags.key_file, "File whose first line is the key that the server wants");
}

void add_eval_flags(CLI::App& app, EvalFlags& flags) {
  add_target_flags(app, flags.target);
  app.add_option("--problems", flags.problems, "JSON lines of {question, answer}, GSM8K's format")->required();
  app.add_option("--limit", flags.limit, "Questions to put at most; 0: all that were chosen")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--n", flags.n, "Questions to choose by --rng; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--rng", flags.rng, "How they are chosen: the file's first, or as Python's random.sample")
      ->check(CLI::IsMember({"first", "python"}))
      ->capture_default_str();
  app.add_option("--seed", flags.seed, "Seed of --rng python")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--concurrency", flags.concurrency, "Requests in flight")
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  app.add_option("--format", flags.format, "How a question is put")
      ->check(CLI::IsMember({"completion", "chat"}))
      ->capture_default_str();
  app.add_option("--template", flags.prompt, "The same by its template's name")
      ->check(CLI::IsMember({"reference", "demo", "chat"}));
  app.add_option("--extractor", flags.extractor, "Which number of an answer counts")
      ->check(CLI::IsMember({"strict", "first_marker", "flexible", "legacy"}))
      ->capture_default_str();
  app.add_option("--max-tokens", flags.max_tokens, "Most tokens of an answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--deadline", flags.deadline_s, "Seconds for one answer; a later one is neither right nor wrong")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--drain", flags.drain_s, "Most seconds to wait for an idle server after a late answer was cancelled")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--model", flags.model, "Model to name in requests; default: the first that the server lists");
  app.add_option("--require", flags.required, "Right answers below which the exit code is 1")->capture_default_str();
  CLI::Option* out =
      app.add_option("--out", flags.out, "Folder for perq.jsonl, outputs.jsonl, gsm8k.json and their metadata");
  app.add_flag("--resume", flags.resume, "Go on with the results in --out, against the same server")->needs(out);
  app.add_flag("--json", flags.json, "Print JSON");
  app.footer(
      "Exit codes: 0 done, 1 a request failed or too few right, 3 stopped because the server is too slow for "
      "the deadline, 5 stopped because it is gone or stays busy (--resume goes on).");
}

void add_load_flags(CLI::App& app, LoadFlags& flags) {
  bench::LoadOptions& o = flags.options;
  add_target_flags(app, flags.target);
  app.add_option("--requests", o.requests, "Requests in all")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--streams", o.streams, "Requests at once, at most")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--rate", flags.rate, "Arrivals per second, at random; 0: each stream sends without a pause")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--prompt-tokens", flags.prompt_tokens, "Tokens of a prompt, about")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--output-tokens", o.output_tokens, "Tokens of an answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Of prompts and arrivals")->capture_default_str();
  app.add_option("--deadline", o.deadline_s, "Seconds for one request")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--model", o.model, "Model to name in requests; default: the first that the server lists");
  app.add_option("--out", flags.out, "File for the result, as `vllm bench serve --save-detailed` writes it");
  app.add_flag("--json", flags.json, "Print that JSON");
}

void add_profile_flags(CLI::App& app, ProfileFlags& flags) {
  bench::ProfileOptions& o = flags.options;
  add_target_flags(app, flags.target);
  app.add_option("--requests", o.requests, "Requests of each burst")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--tokens", o.tokens, "Tokens of each request of the longer burst")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--tokens-short", o.tokens_short, "Of the shorter burst")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--traces", flags.traces, "Folder in which the server's torch traces appear (vLLM)");
  app.add_option("--trace-wait", o.trace_wait_s, "Seconds to wait for a whole trace")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--model", o.model, "Model to name in requests; default: the first that the server lists");
  app.add_option("--out", flags.out, "Folder for kernels.csv, call_law.json and their metadata");
  app.add_flag("--json", flags.json, "Print call_law.json");
  app.footer(
      "The server: nvllm serve --profile-dir DIR on this machine, or vLLM with its torch profiler on and --traces. "
      "Exit code 1: some kernel obeys no law, or a trace is incomplete.");
}

}  // namespace

std::function<void(std::int64_t)> progress_line(std::string label, std::int64_t total) {
  if (::isatty(STDERR_FILENO) == 0) return {};
  return [label = std::move(label), total](std::int64_t done) {
    fmt::print(stderr, "\r{} {}/{}{}", label, done, total, done == total ? "\r\033[K" : "");
    std::fflush(stderr);
  };
}

std::function<std::optional<int>()> add_url_verbs(CLI::App& bench) {
  const auto eval_flags = std::make_shared<EvalFlags>();
  const auto load_flags = std::make_shared<LoadFlags>();
  const auto profile_flags = std::make_shared<ProfileFlags>();
  CLI::App* eval = bench.add_subcommand("eval", "Put word problems to a running server and count right answers");
  add_eval_flags(*eval, *eval_flags);
  CLI::App* load = bench.add_subcommand("load", "Load a running server and time every token");
  add_load_flags(*load, *load_flags);
  CLI::App* profile = bench.add_subcommand("profile", "Count a running server's kernels by its own profiler");
  add_profile_flags(*profile, *profile_flags);
  return [=]() -> std::optional<int> {
    if (eval->parsed()) return run_eval(*eval_flags);
    if (load->parsed()) return run_load(*load_flags);
    if (profile->parsed()) return run_profile(*profile_flags);
    return std::nullopt;
  };
}

}  // namespace nvllm::cli
