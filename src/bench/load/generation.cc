#include "bench/load/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace nvllm::bench {

namespace {

/// The text of a field, or "" where it is absent, null or something else.
std::string text_or_empty(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::int64_t count_or_zero(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

const Json* object_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? &*found : nullptr;
}

/// Adds up chunks of a stream, or one whole answer: both carry the same fields.
class AnswerReader {
 public:
  explicit AnswerReader(Generation& out) : out_(out) {}

  /// Takes one object of the server.
  ///   Errors: Error(kBadFile) if it is not JSON or no answer of this API.
  void take(std::string_view data, double at_s) {
    const Json chunk = parse_json(data, "the server's answer");
    if (!chunk.is_object()) throw Error(ErrorKind::kBadFile, "the server's answer is no JSON object");
    if (const auto error = chunk.find("error"); error != chunk.end() && !error->is_null()) {
      throw Error(ErrorKind::kBadFile, fmt::format("the server reports: {}", dump_json(*error).substr(0, 300)));
    }
    if (out_.request_id.empty()) out_.request_id = text_or_empty(chunk, "id");
    take_usage(chunk);
    const auto choices = chunk.find("choices");
    if (choices == chunk.end() || !choices->is_array()) {
      throw Error(ErrorKind::kBadFile, "the server's answer has no 'choices'");
    }
    if (!choices->empty()) take_choice(choices->front(), at_s);
  }

  void finish() {
    out_.counted_by_server = has_usage_ || !out_.token_ids.empty();
    if (has_usage_) return;
    out_.completion_tokens =
        static_cast<std::int64_t>(out_.token_ids.empty() ? out_.arrivals_s.size() : out_.token_ids.size());
  }

 private:
  void take_usage(const Json& chunk) {
    const Json* usage = object_in(chunk, "usage");
    if (usage == nullptr) return;
    has_usage_ = true;
    out_.prompt_tokens = count_or_zero(*usage, "prompt_tokens");
    out_.completion_tokens = count_or_zero(*usage, "completion_tokens");
  }

  void take_choice(const Json& choice, double at_s) {
    std::string text = text_or_empty(choice, "text");
    bool thinks = false;
    for (const char* key : {"delta", "message"}) {
      const Json* part = object_in(choice, key);
      if (part == nullptr) continue;
      text += text_or_empty(*part, "content");
      // Where a server parts thinking from the answer: tokens have come, and the answer has not begun.
      thinks = !text_or_empty(*part, "reasoning_content").empty() || !text_or_empty(*part, "reasoning").empty();
    }
    std::size_t tokens = 0;
    if (const auto ids = choice.find("token_ids"); ids != choice.end() && ids->is_array()) {
      for (const Json& id : *ids) {
        if (id.is_number_integer()) out_.token_ids.push_back(id.get<std::int32_t>());
      }
      tokens = ids->size();
    }
    if (!text.empty() || thinks || tokens > 0) out_.arrivals_s.push_back(at_s);
    out_.text += text;
    if (std::string reason = text_or_empty(choice, "finish_reason"); !reason.empty()) out_.finish_reason = reason;
  }

  Generation& out_;
  bool has_usage_ = false;
};

/// Sums up what the connection said; `fault` is what was wrong with the content, if anything.
void judge(const PostResult& post, const std::string& fault, bool ended, Generation& out) {
  out.status = post.status;
  out.wall_s = seconds_between(post.sent, post.done);
  out.error = post.error;
  if (post.end == PostEnd::kDeadline) {
    out.end = GenerationEnd::kDeadline;
  } else if (post.end != PostEnd::kComplete) {
    out.end = GenerationEnd::kLost;
  } else if (post.status != 200) {
    out.end = GenerationEnd::kHttpError;
    out.error = fmt::format("HTTP {}: {}", post.status, post.body.substr(0, 300));
  } else if (!fault.empty()) {
    out.end = GenerationEnd::kHttpError;
    out.error = fault;
  } else if (!ended) {
    out.end = GenerationEnd::kLost;
    out.error = "the stream ended without [DONE] and without a finish_reason";
  } else {
    out.end = GenerationEnd::kComplete;
  }
}

}  // namespace

std::optional<double> Generation::ttft_s() const {
  if (arrivals_s.empty()) return std::nullopt;
  return arrivals_s.front();
}

std::vector<double> Generation::itl_s() const {
  std::vector<double> gaps;
  for (std::size_t i = 1; i < arrivals_s.size(); ++i) gaps.push_back(arrivals_s[i] - arrivals_s[i - 1]);
  return gaps;
}

std::string request_body(const GenerationRequest& request, const ServerFeatures& features) {
  Json body = request.fields;
  if (!request.model.empty()) body["model"] = request.model;
  body["max_tokens"] = request.max_tokens;
  body["temperature"] = 0;
  if (features.streaming) body["stream"] = true;
  if (features.streaming && features.stream_usage) body["stream_options"] = Json{{"include_usage", true}};
  if (features.token_ids) body["return_token_ids"] = true;
  if (request.until_length && features.ignore_eos) body["ignore_eos"] = true;
  return dump_json(body);
}

Generation generate(const PostTarget& target, const GenerationRequest& request, const ServerFeatures& features,
                    double deadline_s) {
  Generation out;
  AnswerReader reader(out);
  std::string fault;
  bool done_mark = false;
  const std::string body = request_body(request, features);
  const SteadyTime begin = out.begin = std::chrono::steady_clock::now();
  const auto deadline =
      begin + std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(deadline_s));
  const auto take = [&](std::string_view data, double at_s) {
    if (!fault.empty() || done_mark) return;
    try {
      reader.take(data, at_s);
    } catch (const Error& error) {
      fault = error.what();
    }
  };
  const PostResult post =
      timed_post(target, request.endpoint, body, deadline, [&](std::string_view data, SteadyTime at) {
        if (data == "[DONE]") {
          done_mark = true;
        } else {
          take(data, seconds_between(begin, at));
        }
      });
  // A server without streaming answers with one body: no time of a first token then.
  if (post.end == PostEnd::kComplete && post.status == 200 && !post.body.empty()) {
    take(post.body, 0);
    out.arrivals_s.clear();
  }
  reader.finish();
  judge(post, fault, done_mark || !out.finish_reason.empty(), out);
  return out;
}

std::optional<double> percentile_of(std::vector<double> values, double p) {
  if (values.empty()) return std::nullopt;
  std::ranges::sort(values);
  const double place = p / 100 * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
}

}  // namespace nvllm::bench
