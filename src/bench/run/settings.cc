#include "bench/run/settings.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kPromptBytesMax = 1 << 20;
constexpr const char* kNvllm = "nvllm";
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

void read_server(const Sweep& sweep, const Json& section, ServerSettings& out) {
  out.kind = &server_kind(section.value("kind", "nvllm"));
  out.command = section.value("command", out.kind->command);
  out.url = section.value("url", "");
  out.traces = section.value("traces", "");
  const Json &ready = section_of(section, "ready"), &stop = section_of(section, "stop");
  out.ready_page = ready.value("url", std::string(out.kind->ready_page));
  // Nothing is started there, so nothing has to load.
  if (out.kind->address == AddressFrom::kRunsAlready) out.ready_timeout_s = 30;
  out.ready_timeout_s = ready.value("timeout_s", out.ready_timeout_s);
  out.poll_s = ready.value("poll_s", out.poll_s);
  if (stop.value("signal", "TERM") == "INT") out.stop_signal = StopSignal::kInt;
  out.grace_s = stop.value("grace_s", out.grace_s);
  for (const SweepLeg& leg : sweep.legs) {
    const bool runs = out.kind->address == AddressFrom::kRunsAlready;
    if (runs && leg.url.empty() && out.url.empty()) {
      refuse(sweep,
             fmt::format(
                 "leg '{}' of an external server has no 'url', neither its own nor 'server.url'",
                 leg.name));
    }
    if (runs && (!leg.command.empty() || !leg.arguments.empty() || !leg.env.empty() ||
                 !out.command.empty())) {
      refuse(
          sweep,
          fmt::format(
              "leg '{}': an external server is not started here, so it has no command, arguments "
              "or env",
              leg.name));
    }
    if (!runs && leg.command.empty() && out.command.empty()) {
      refuse(sweep,
             fmt::format(
                 "leg '{}' of kind \"{}\" has no 'command', neither its own nor 'server.command'",
                 leg.name, out.kind->name));
    }
  }
}

void read_model(const Sweep& sweep, const Json& section, const std::filesystem::path& model,
                RunSettings& out) {
  out.model = model.empty() ? std::filesystem::path(section.value("path", "")) : model;
  out.model_revision = section.value("revision", "");
  if (!out.server.kind->ours) {
    out.model_id = section.value("id", "");
    if (!out.model_id.empty()) return;
    refuse(sweep,
           fmt::format("no 'model.id'; requests to a server of kind \"{}\" name its model by it",
                       out.server.kind->name));
  }
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

/// The methods that a kind of server may be profiled by. One that runs already may be any server.
std::vector<KernelMethod> methods_of(const ServerKind& kind) {
  if (kind.address == AddressFrom::kRunsAlready)
    return {KernelMethod::kInProcess, KernelMethod::kTorch};
  if (kind.kernels == KernelMethod::kNone) return {KernelMethod::kInject};
  return {kind.kernels, KernelMethod::kInject};
}

/// The method that the file demands.
KernelMethod demanded_method(const Sweep& sweep, const std::string& name,
                             const ServerSettings& server) {
  const bool runs = server.kind->address == AddressFrom::kRunsAlready;
  if (runs && name == to_string(KernelMethod::kInject)) {
    refuse(sweep,
           "'profile.method' is \"inject\", but an external server is not started here, so nothing "
           "can be loaded into it");
  }
  std::string known;
  for (const KernelMethod method : methods_of(*server.kind)) {
    known += fmt::format("{}\"{}\"", known.empty() ? "" : " or ", to_string(method));
    if (name != to_string(method)) continue;
    if (runs && method == KernelMethod::kTorch && server.traces.empty()) {
      refuse(sweep,
             "'profile.method' is \"torch\", but 'server.traces' does not say where the external "
             "server writes its traces");
    }
    return method;
  }
  refuse(sweep, fmt::format("'profile.method' is \"{}\"; this version profiles servers of kind "
                            "\"{}\" by {}",
                            name, server.kind->name, known));
}

void read_profile(const Sweep& sweep, const Json& section, RunSettings& out) {
  out.kernels = out.server.kind->kernels;
  if (const std::string method = section.value("method", "auto"); method != "auto") {
    out.kernels_demanded = true;
    out.kernels = demanded_method(sweep, method, out.server);
  }
  out.profile_library = section.value("library", "");
  if (!out.profile_library.empty() && out.kernels != KernelMethod::kInject)
    refuse(sweep, "'profile.library' is for 'profile.method' \"inject\" alone");
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
  out.request_deadline_s = section.value("deadline_s", out.request_deadline_s);
  out.warmup_tokens = section.value("warmup_tokens", out.long_burst.max_tokens);
  const std::string file = section.value("prompt_file", "");
  out.prompt = file.empty() ? std::string(kPrompt) : read_file(file, kPromptBytesMax);
}

void read_gsm8k(const Sweep& sweep, const Json& section, RunSettings& out) {
  const Json &dataset = section_of(section, "dataset"), &futility = section_of(section, "futility");
  if (out.model.empty() && !dataset.contains("path"))
    refuse(sweep, "no 'gsm8k.dataset.path': which questions?");
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

std::string filled_in(std::string text, const RunSettings& settings, const CommandFacts& facts) {
  const std::pair<std::string_view, std::string> values[] = {
      {"${port}", facts.port},
      {"${model.path}", settings.model.string()},
      {"${model.id}", settings.model_id},
      {"${traces}", facts.traces.string()}};
  for (const auto& [name, value] : values) {
    for (std::size_t at = text.find(name); at != std::string::npos;
         at = text.find(name, at + value.size())) {
      text.replace(at, name.size(), value);
    }
  }
  return text;
}

}  // namespace

RunSettings run_settings(const Sweep& sweep, const std::filesystem::path& model) {
  RunSettings settings;
  const Json& file = sweep.canonical;
  read_server(sweep, section_of(file, "server"), settings.server);
  read_model(sweep, section_of(file, "model"), model, settings);
  read_schedule(section_of(file, "schedule"), settings);
  if (settings.profile_rounds > 0) read_profile(sweep, section_of(file, "profile"), settings);
  if (settings.gsm8k_rounds > 0) read_gsm8k(sweep, section_of(file, "gsm8k"), settings);
  if (settings.profile_rounds + settings.gsm8k_rounds == 0)
    refuse(sweep, "'schedule.rounds' are all 0: nothing to do");
  return settings;
}

std::vector<std::string> command_of(const RunSettings& settings, const SweepLeg& leg,
                                    const CommandFacts& facts) {
  std::vector<std::string> words = leg.command.empty() ? settings.server.command : leg.command;
  words.insert(words.end(), leg.arguments.begin(), leg.arguments.end());
  for (std::string& word : words) word = filled_in(std::move(word), settings, facts);
  if (words.front() == kNvllm) words.front() = facts.program;
  return words;
}

std::map<std::string, std::string> environment_of(const RunSettings& settings, const SweepLeg& leg,
                                                  const CommandFacts& facts) {
  std::map<std::string, std::string> env = leg.env;
  for (auto& [name, value] : env) value = filled_in(std::move(value), settings, facts);
  return env;
}

const std::string& address_of(const RunSettings& settings, const SweepLeg& leg) {
  return leg.url.empty() ? settings.server.url : leg.url;
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
