#include "server/generation_fields.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "server/api_error.h"

namespace nvllm::server {
namespace {

constexpr IntegerRange kAnyInteger{std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max()};
constexpr IntegerRange kPriority{std::numeric_limits<std::int32_t>::min(),
                                 std::numeric_limits<std::int32_t>::max()};
constexpr IntegerRange kTokenCount{0, std::numeric_limits<std::int32_t>::max()};

/// Fields of OpenAI's and vLLM's APIs that would change the answer and that nvllm does not have
/// yet. Silently ignoring them would be a wrong answer, so their presence is an error.
constexpr std::string_view kUnsupported[] = {"allowed_token_ids",
                                             "audio",
                                             "bad_words",
                                             "beam_width",
                                             "documents",
                                             "function_call",
                                             "functions",
                                             "guided_choice",
                                             "guided_decoding",
                                             "guided_grammar",
                                             "guided_json",
                                             "guided_regex",
                                             "logits_processors",
                                             "modalities",
                                             "prompt_embeds",
                                             "prompt_logprobs",
                                             "structured_outputs",
                                             "suffix",
                                             "truncate_prompt_tokens",
                                             "use_beam_search",
                                             "vllm_xargs"};

void refuse_unsupported(const Fields& fields) {
  for (const std::string_view name : kUnsupported) refuse_field(fields, name);
  const auto best_of = fields.integer("best_of", kAnyInteger);
  if (best_of && *best_of != 1) throw bad_field("best_of", "other than 1 is not supported");
  if (const Json* format = fields.find("response_format")) {
    const Fields inner(*format, "response_format.");
    if (inner.text("type").value_or("") != "text") {
      throw bad_field("response_format", "other than {\"type\": \"text\"} is not supported");
    }
  }
}

void parse_sampling(const Fields& fields, const RequestBounds& bounds,
                    engine::SamplingParams& sampling) {
  sampling.temperature = fields.number("temperature", {0, 2}).value_or(1.0);
  sampling.top_p = fields.number("top_p", {0, 1, LowerBound::kExcluded}).value_or(1.0);
  // -1 is vLLM's older word for "all"; any count above the vocabulary means the same.
  const std::int64_t top_k =
      fields.integer("top_k", {-1, std::numeric_limits<std::int32_t>::max()}).value_or(0);
  sampling.top_k = top_k < 0 || top_k >= bounds.vocab_size ? 0 : top_k;
  sampling.min_p = fields.number("min_p", {0, 1}).value_or(0.0);
  if (const auto seed = fields.integer("seed", kAnyInteger)) {
    sampling.seed = static_cast<std::uint64_t>(*seed);
  }
  sampling.presence_penalty = fields.number("presence_penalty", {-2, 2}).value_or(0.0);
  sampling.frequency_penalty = fields.number("frequency_penalty", {-2, 2}).value_or(0.0);
  sampling.repetition_penalty =
      fields.number("repetition_penalty", {0, 10, LowerBound::kExcluded}).value_or(1.0);
}

void parse_logit_bias(const Fields& fields, const RequestBounds& bounds,
                      engine::SamplingParams& sampling) {
  const Json* value = fields.find("logit_bias");
  if (value == nullptr) return;
  if (!value->is_object()) {
    throw bad_field("logit_bias", fmt::format("must be an object from token ids to numbers, not {}",
                                              value->type_name()));
  }
  if (static_cast<std::int64_t>(value->size()) > bounds.limits.logit_bias_count_max) {
    throw bad_field("logit_bias", fmt::format("has {} entries; at most {} are allowed",
                                              value->size(), bounds.limits.logit_bias_count_max));
  }
  for (const auto& [key, bias] : value->items()) {
    std::int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 ||
        id >= bounds.vocab_size) {
      throw bad_field("logit_bias", fmt::format("has a key that is not a token id from 0 to {}",
                                                bounds.vocab_size - 1));
    }
    const double number = read_number(bias, fmt::format("logit_bias.{}", id), {-100, 100});
    sampling.logit_bias.emplace_back(id, static_cast<float>(number));
  }
}

void add_stop(const Json& value, const std::string& path, const ServerLimits& limits,
              std::vector<std::string>& stop) {
  if (!value.is_string()) {
    throw bad_field(path, fmt::format("must be a string, not {}", value.type_name()));
  }
  const auto& text = value.get_ref<const std::string&>();
  if (text.empty()) throw bad_field(path, "must not be empty");
  if (static_cast<std::int64_t>(text.size()) > limits.stop_bytes_max) {
    throw bad_field(path, fmt::format("has {} bytes; at most {} are allowed", text.size(),
                                      limits.stop_bytes_max));
  }
  stop.push_back(text);
}

std::vector<std::string> parse_stop(const Fields& fields, const ServerLimits& limits) {
  std::vector<std::string> stop;
  const Json* value = fields.find("stop");
  if (value == nullptr) return stop;
  if (!value->is_array()) {
    if (!value->is_string()) {
      throw bad_field(
          "stop", fmt::format("must be a string or a list of strings, not {}", value->type_name()));
    }
    add_stop(*value, "stop", limits, stop);
    return stop;
  }
  if (static_cast<std::int64_t>(value->size()) > limits.stop_count_max) {
    throw bad_field("stop", fmt::format("has {} strings; at most {} are allowed", value->size(),
                                        limits.stop_count_max));
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    add_stop((*value)[i], fmt::format("stop[{}]", i), limits, stop);
  }
  return stop;
}

DeliveryFields parse_delivery(const Fields& fields) {
  DeliveryFields delivery;
  delivery.stream = fields.flag("stream").value_or(false);
  delivery.include_reasoning = fields.flag("include_reasoning").value_or(true);
  delivery.return_token_ids = fields.flag("return_token_ids").value_or(false);
  delivery.tokens_as_ids = fields.flag("return_tokens_as_token_ids").value_or(false);
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return delivery;
  const Fields inner(*options, "stream_options.");
  delivery.include_usage = inner.flag("include_usage").value_or(false);
  delivery.continuous_usage = inner.flag("continuous_usage_stats").value_or(false);
  if (!delivery.stream) throw bad_field("stream_options", "is only allowed together with stream");
  return delivery;
}

}  // namespace

void refuse_field(const Fields& fields, std::string_view name) {
  const Json* value = fields.find(name);
  if (value == nullptr) return;
  const bool empty = (value->is_boolean() && !value->get<bool>()) ||
                     (value->is_string() && value->get_ref<const std::string&>().empty()) ||
                     (value->is_structured() && value->empty());
  if (!empty) throw bad_field(fields.path_of(name), "is not supported by this server");
}

GenerationFields parse_generation_fields(const Fields& fields, const RequestBounds& bounds) {
  refuse_unsupported(fields);
  GenerationFields parsed;
  parsed.model = fields.text("model").value_or("");
  parse_sampling(fields, bounds, parsed.sampling);
  parse_logit_bias(fields, bounds, parsed.sampling);
  parsed.delivery = parse_delivery(fields);
  parsed.n = fields.integer("n", {1, bounds.limits.n_max}).value_or(1);
  parsed.max_tokens = fields.integer("max_tokens", kTokenCount);
  parsed.min_tokens = fields.integer("min_tokens", kTokenCount).value_or(0);
  parsed.stop = parse_stop(fields, bounds.limits);
  parsed.stop_ids = fields.ids("stop_token_ids", bounds.vocab_size, bounds.limits.stop_id_count_max)
                        .value_or(std::vector<std::int32_t>{});
  parsed.ignore_eos = fields.flag("ignore_eos").value_or(false);
  parsed.include_stop_text = fields.flag("include_stop_str_in_output").value_or(false);
  parsed.skip_special_tokens = fields.flag("skip_special_tokens").value_or(true);
  parsed.priority = fields.integer("priority", kPriority).value_or(0);
  if (parsed.priority != 0 && !bounds.priorities) {
    throw bad_field("priority", "other than 0 needs a server started with --scheduling-policy priority");
  }
  parsed.cache_salt = fields.text("cache_salt").value_or("");
  if (static_cast<std::int64_t>(parsed.cache_salt.size()) > bounds.limits.cache_salt_bytes_max) {
    throw bad_field("cache_salt",
                    fmt::format("has {} bytes; at most {} are allowed", parsed.cache_salt.size(),
                                bounds.limits.cache_salt_bytes_max));
  }
  if (parsed.max_tokens && parsed.min_tokens > *parsed.max_tokens) {
    throw bad_field("min_tokens", fmt::format("is {}; it must not be above max_tokens, {}",
                                              parsed.min_tokens, *parsed.max_tokens));
  }
  return parsed;
}

}  // namespace nvllm::server
