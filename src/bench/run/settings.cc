#include "bench/run/settings.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kPromptBytesMax = 1 << 20;
constexpr const char* kPrompt =
    "Question: There are 12 eggs in the bag. How many eggs are in the bag?\nAnswer: ";

[[noreturn]] void refuse(const Sweep& sweep, const std::string& problem) {
  throw Error(ErrorKind::kUsage, fmt::format("{}: {}", sweep.what, problem));
}

const Json& section_of(const Json& file, const char* name) {
  static const Json kEmpty = Json::object();
  const auto found = file.find(name);
  return found == file.end() ? kEmpty : *found;
}

void read_server(const Sweep& sweep, const Json& section, RunSettings& out) {
  if (const std::string kind = section.value("kind", "nvllm"); kind != "nvllm") {
    refuse(sweep,
           fmt::format("'server.kind' is \"{}\"; this version starts nvllm servers only", kind));
  }
  out.ready_timeout_s = section_of(section, "ready").value("timeout_s", out.ready_timeout_s);
}

void read_model(const Sweep& sweep, const Json& section, const std::filesystem::path& model,
                RunSettings& out) {
  out.model = model.empty() ? std::filesystem::path(section.value("path", "")) : model;
  if (out.model.empty()) refuse(sweep, "no 'model.path', and no --model DIR");
  std::filesystem::path named = out.model.lexically_normal();
  if (!named.has_filename()) named = named.parent_path();
  out.model_id = section.value("id", named.filename().string());
}

void read_schedule(const Json& section, RunSettings& out) {
  const Json& rounds = section_of(section, "rounds");
  out.profile_rounds = rounds.value("profile", std::int64_t{1});
  out.gsm8k_rounds = rounds.value("gsm8k", std::int64_t{1});
  out.power = section.value("power", out.power);
  out.balanced = section.value("order", "williams") == "williams";
  if (section.value("on_failure", "continue") == "stop") out.on_failure = OnFailure::kStop;
}

void read_profile(const Sweep& sweep, const Json& section, RunSettings& out) {
  if (const std::string method = section.value("method", "auto");
      method != "auto" && method != "in-process") {
    refuse(sweep,
           fmt::format("'profile.method' is \"{}\"; this version profiles \"in-process\" only",
                       method));
  }
  std::vector<BurstSettings> bursts;
  for (const Json& one : section_of(section, "bursts"))
    bursts.push_back({one.at("requests"), one.at("max_tokens")});
  if (bursts.size() != 2 || bursts[0].max_tokens == bursts[1].max_tokens) {
    refuse(
        sweep,
        "'profile.bursts' needs two bursts of different max_tokens: one length proves no call law");
  }
  const bool first_longer = bursts[0].max_tokens > bursts[1].max_tokens;
  out.long_burst = bursts[first_longer ? 0 : 1];
  out.short_burst = bursts[first_longer ? 1 : 0];
  out.ignore_eos = section.value("ignore_eos", true);
  if (!out.ignore_eos)
    refuse(sweep, "'profile.ignore_eos' is false: without it bursts have no fixed length");
  out.overhead_probe = section.value("overhead_probe", true);
  out.warmup_tokens = section.value("warmup_tokens", out.long_burst.max_tokens);
  const std::string file = section.value("prompt_file", "");
  out.prompt = file.empty() ? std::string(kPrompt) : read_file(file, kPromptBytesMax);
}

void read_gsm8k(const Sweep& sweep, const Json& section, RunSettings& out) {
  const Json &dataset = section_of(section, "dataset"), &futility = section_of(section, "futility");
  out.problems = dataset.value("path", (out.model / "heldout.jsonl").string());
  out.problems_sha256 = dataset.value("sha256", "");
  out.choice.n = section.value("n", std::int64_t{50});
  out.choice.seed = section.value("seed", out.choice.seed);
  out.choice.order =
      parse_question_order(section.value("rng", "first")).value_or(QuestionOrder::kFirst);
  out.format = parse_prompt_template(section.value("prompt", "reference"))
                   .value_or(PromptTemplate::kReference);
  out.score = parse_extractor(section.value("score", "legacy")).value_or(Extractor::kLegacy);
  out.question_max_tokens = section.value("max_tokens", out.question_max_tokens);
  out.deadline_s = section.value("deadline_s", out.deadline_s);
  out.futility.after = futility.value("after", out.futility.after);
  out.futility.censored_share = futility.value("censored_share", out.futility.censored_share);
  const std::string wanted(endpoint_of(out.format));
  if (const std::string path = section.value("endpoint", wanted); path != wanted) {
    refuse(sweep, fmt::format("'gsm8k.endpoint' is \"{}\", but prompt \"{}\" goes to \"{}\"", path,
                              to_string(out.format), wanted));
  }
}

}  // namespace

RunSettings run_settings(const Sweep& sweep, const std::filesystem::path& model) {
  RunSettings settings;
  const Json& file = sweep.canonical;
  read_server(sweep, section_of(file, "server"), settings);
  read_model(sweep, section_of(file, "model"), model, settings);
  read_schedule(section_of(file, "schedule"), settings);
  if (settings.profile_rounds > 0) read_profile(sweep, section_of(file, "profile"), settings);
  if (settings.gsm8k_rounds > 0) read_gsm8k(sweep, section_of(file, "gsm8k"), settings);
  if (settings.profile_rounds + settings.gsm8k_rounds == 0)
    refuse(sweep, "'schedule.rounds' are all 0: nothing to do");
  return settings;
}

QuestionSet sweep_questions(const RunSettings& settings) {
  QuestionSet set = read_question_set(settings.problems, settings.choice);
  if (!settings.problems_sha256.empty() && set.sha256 != settings.problems_sha256) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: sha256 is {}, the sweep declares {}", settings.problems.string(),
                            set.sha256, settings.problems_sha256));
  }
  return set;
}

}  // namespace nvllm::bench
