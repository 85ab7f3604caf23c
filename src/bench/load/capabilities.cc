#include "bench/load/capabilities.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "bench/load/client_options.h"
#include "bench/load/drain.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace {

constexpr const char* kCompletions = "/v1/completions";
constexpr std::int64_t kProbeTokens = 4, kLongTokens = 24;
constexpr std::array<const char*, 7> kPages = {"/v1/models", "/health", "/version", "/props",
                                               "/metrics",   "/slots",  "/ping"};
// A GET of these starts a profile on some servers; asking which methods they take never does.
constexpr std::array<const char*, 2> kProfilePages = {"/start_profile", "/stop_profile"};

/// The first choice of an answer, or null.
const Json* first_choice(const Json& answer) {
  const auto choices = answer.find("choices");
  if (choices == answer.end() || !choices->is_array() || choices->empty()) return nullptr;
  return &choices->front();
}

bool holds(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null() && !found->empty();
}

/// The requests of one probe.
class Probe {
 public:
  Probe(const PostTarget& target, std::string model, double silence_s)
      : target_(target), model_(std::move(model)), client_(target.url, options_for(target, silence_s)) {}

  Capabilities run() {
    found_.url = target_.url;
    read_pages();
    const net::HttpResponse plain = post({});
    if (plain.status != 200) {
      throw Error(ErrorKind::kUnavailable, fmt::format("{}{} answers a plain prompt with HTTP {}: {}", target_.url,
                                                       kCompletions, plain.status, plain.body.substr(0, 300)));
    }
    note_usage(parse_json(plain.body, target_.url + kCompletions));
    probe_stream();
    probe_token_ids();
    probe_ignore_eos();
    probe_logprobs();
    probe_seed();
    return std::move(found_);
  }

 private:
  static net::HttpClientOptions options_for(const PostTarget& target, double silence_s) {
    net::HttpClientOptions options = client_options(target);
    options.silence_time = std::chrono::milliseconds(static_cast<std::int64_t>(silence_s * 1e3));
    return options;
  }

  void note(const char* feature, Seen seen, std::string evidence) {
    found_.features[feature] = {.seen = seen, .evidence = std::move(evidence)};
  }

  void read_pages() {
    for (const char* path : kPages) {
      const net::HttpResponse page = client_.get(path);
      found_.pages[path] = page.status;
      if (page.status != 200) continue;
      const std::string name = path;
      if (name == "/v1/models") read_models(page.body);
      if (name == "/version") read_version(page.body);
      if (name == "/metrics") {
        const auto busy = requests_in_server(page.body);
        note("metrics", busy ? Seen::kYes : Seen::kNo,
             busy ? fmt::format("{} requests in the server", *busy) : "no gauge of running requests");
      }
    }
    for (const char* path : kProfilePages) found_.pages[path] = client_.request("OPTIONS", path, "").status;
    if (!found_.features.contains("metrics")) note("metrics", Seen::kNo, status_words(found_.pages["/metrics"]));
    if (model_.empty() && !found_.models.empty()) model_ = found_.models.front();
  }

  static std::string status_words(int status) { return fmt::format("HTTP {}", status); }

  void read_models(const std::string& body) {
    const Json page = parse_json(body, target_.url + "/v1/models");
    const auto data = page.find("data");
    if (data == page.end() || !data->is_array()) return;
    for (const Json& model : *data) {
      if (model.contains("id") && model.at("id").is_string()) found_.models.push_back(model.at("id"));
    }
  }

  void read_version(const std::string& body) {
    const Json page = parse_json(body, target_.url + "/version");
    if (page.contains("version") && page.at("version").is_string()) found_.version = page.at("version");
  }

  /// A plain prompt with further fields.
  net::HttpResponse post(const Json& more) { return client_.post(kCompletions, body_with(more)); }

  std::string body_with(const Json& more) const {
    Json body;
    if (!model_.empty()) body["model"] = model_;
    body["prompt"] = "One, two, three,";
    body["max_tokens"] = kProbeTokens;
    body["temperature"] = 0;
    for (const auto& item : more.items()) body[item.key()] = item.value();
    return dump_json(body);
  }

  /// The answer to a prompt with further fields; nothing, and a note of why, where it was refused.
  std::optional<Json> ask(const char* feature, const Json& more) {
    const net::HttpResponse answer = post(more);
    if (answer.status != 200) {
      note(feature, Seen::kNo, fmt::format("HTTP {}: {}", answer.status, answer.body.substr(0, 160)));
      return std::nullopt;
    }
    return parse_json(answer.body, target_.url + kCompletions);
  }

  void note_usage(const Json& answer) {
    const auto usage = answer.find("usage");
    const bool has = usage != answer.end() && usage->is_object() && usage->contains("completion_tokens");
    note("usage", has ? Seen::kYes : Seen::kNo, has ? "usage in a whole answer" : "no usage in a whole answer");
  }

  void probe_stream() {
    std::int64_t events = 0, usage_tokens = -1;
    const auto stream = [&](const Json& more) {
      return client_.stream(kCompletions, body_with(more), [&](std::string_view data) {
        if (data == "[DONE]") return net::Wanted::kMore;
        ++events;
        const Json chunk = parse_json(data, "event");
        if (holds(chunk, "usage")) usage_tokens = chunk.at("usage").value("completion_tokens", std::int64_t{-1});
        return net::Wanted::kMore;
      });
    };
    const net::HttpResponse plain = stream(Json{{"stream", true}});
    const bool streams = plain.status == 200 && events > 0;
    note("streaming", streams ? Seen::kYes : Seen::kNo, fmt::format("HTTP {}, {} events", plain.status, events));
    if (!streams) return note("stream_usage", Seen::kNo, "no streaming");
    usage_tokens = -1;
    const net::HttpResponse counted = stream(Json{{"stream", true}, {"stream_options", Json{{"include_usage", true}}}});
    note("stream_usage", counted.status == 200 && usage_tokens >= 0 ? Seen::kYes : Seen::kNo,
         fmt::format("HTTP {}, {}", counted.status,
                     usage_tokens < 0 ? "no usage" : fmt::format("usage of {} completion tokens", usage_tokens)));
  }

  void probe_token_ids() {
    const auto answer = ask("token_ids", Json{{"return_token_ids", true}});
    if (!answer) return;
    const Json* choice = first_choice(*answer);
    const bool has = choice != nullptr && holds(*choice, "token_ids");
    note("token_ids", has ? Seen::kYes : Seen::kNo, has ? "token_ids in the choice" : "accepted, no token_ids came");
  }

  /// Many tokens, since a short answer ends by its length anyway.
  void probe_ignore_eos() {
    const auto answer = ask("ignore_eos", Json{{"ignore_eos", true}, {"max_tokens", kLongTokens}});
    if (!answer) return;
    const std::int64_t tokens =
        holds(*answer, "usage") ? answer->at("usage").value("completion_tokens", std::int64_t{-1}) : -1;
    const auto without = ask("ignore_eos", Json{{"max_tokens", kLongTokens}});
    const bool ends_early = without && first_choice(*without) != nullptr &&
                            first_choice(*without)->value("finish_reason", std::string()) == "stop";
    if (tokens != kLongTokens)
      return note("ignore_eos", Seen::kNo, fmt::format("{} of {} tokens came", tokens, kLongTokens));
    note("ignore_eos", ends_early ? Seen::kYes : Seen::kUnknown,
         ends_early ? "went on where the same prompt otherwise ends"
                    : "accepted; the prompt does not end early without it");
  }

  void probe_logprobs() {
    const auto answer = ask("logprobs", Json{{"logprobs", 1}});
    if (!answer) return;
    const Json* choice = first_choice(*answer);
    const bool has = choice != nullptr && holds(*choice, "logprobs");
    note("logprobs", has ? Seen::kYes : Seen::kNo, has ? "logprobs in the choice" : "accepted, no logprobs came");
  }

  void probe_seed() {
    std::vector<std::string> texts;
    for (const int seed : {7, 7, 8}) {
      const auto answer = ask("seed", Json{{"seed", seed}, {"temperature", 1.5}, {"max_tokens", kLongTokens}});
      if (!answer) return;
      const Json* choice = first_choice(*answer);
      texts.push_back(choice == nullptr ? "" : choice->value("text", std::string()));
    }
    const bool repeats = texts[0] == texts[1], differs = texts[0] != texts[2];
    note("seed",
         !repeats  ? Seen::kNo
         : differs ? Seen::kYes
                   : Seen::kUnknown,
         !repeats  ? "the same seed gave two texts"
         : differs ? "the same seed repeats, another differs"
                   : "two seeds gave the same text");
  }

  const PostTarget& target_;
  std::string model_;
  net::HttpClient client_;
  Capabilities found_;
};

}  // namespace

std::string_view to_string(Seen seen) {
  constexpr std::array<std::string_view, 3> kNames = {"yes", "no", "unknown"};
  return kNames[static_cast<std::size_t>(seen)];
}

bool Capabilities::has(const std::string& feature) const {
  const auto found = features.find(feature);
  return found != features.end() && found->second.seen != Seen::kNo;
}

Capabilities probe_capabilities(const PostTarget& target, const std::string& model, double silence_s) {
  try {
    return Probe(target, model, silence_s).run();
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("{}: its answers are not those of the OpenAI API: {}", target.url, error.what()));
  }
}

ServerFeatures features_of(const Capabilities& capabilities) {
  return {.streaming = capabilities.has("streaming"),
          .stream_usage = capabilities.has("stream_usage"),
          .token_ids = capabilities.has("token_ids"),
          .ignore_eos = capabilities.has("ignore_eos"),
          .metrics = capabilities.has("metrics")};
}

std::vector<CapabilityDeviation> deviations_of(const Capabilities& capabilities) {
  constexpr std::array<std::pair<const char*, const char*>, 5> kRules = {{
      {"streaming", "answers come whole: no times of a first token or between tokens"},
      {"stream_usage", "tokens are counted by their ids, or else by the events that brought text"},
      {"token_ids", "identical answers are told by the digest of their text"},
      {"ignore_eos", "requests end where the model ends them: output lengths are counted, not set"},
      {"metrics", "after a cancelled request an answered one-token request shows that the server is free"},
  }};
  std::vector<CapabilityDeviation> out;
  for (const auto& [feature, rule] : kRules) {
    if (capabilities.has(feature)) continue;
    const auto found = capabilities.features.find(feature);
    out.push_back(
        {.rule = rule,
         .reason = fmt::format("{}: {}", feature,
                               found == capabilities.features.end() ? "not probed" : found->second.evidence)});
  }
  return out;
}

Json capabilities_json(const Capabilities& capabilities) {
  Json json;
  json["schema"] = "nvllm.capabilities/v1";
  json["url"] = capabilities.url;
  json["models"] = capabilities.models;
  json["version"] = capabilities.version.empty() ? Json(nullptr) : Json(capabilities.version);
  json["pages"] = capabilities.pages;
  json["observed"] = Json::object();
  for (const auto& [name, one] : capabilities.features) {
    json["observed"][name] = Json{{"seen", to_string(one.seen)}, {"evidence", one.evidence}};
  }
  const ServerFeatures features = features_of(capabilities);
  json["requested"] = Json{{"streaming", features.streaming},
                           {"stream_usage", features.stream_usage},
                           {"token_ids", features.token_ids},
                           {"ignore_eos", features.ignore_eos},
                           {"metrics", features.metrics}};
  json["deviations"] = Json::array();
  for (const CapabilityDeviation& one : deviations_of(capabilities)) {
    json["deviations"].push_back(Json{{"rule", one.rule}, {"reason", one.reason}});
  }
  return json;
}

}  // namespace nvllm::bench
