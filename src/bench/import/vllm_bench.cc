#include "bench/import/vllm_bench.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "bench/store/json_field.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kFileBytesMax = 1ll << 30;
constexpr std::array<const char*, 8> kLists = {"input_lens", "output_lens", "ttfts",           "itls",
                                               "latencies",  "errors",      "generated_texts", "start_times"};

double number_of(const Json& value, std::string_view place) {
  if (value.is_number()) return value.get<double>();
  throw Error(ErrorKind::kBadFile, fmt::format("{} is {}, wanted a number", place, dump_json(value).substr(0, 80)));
}

/// The list of that name, or null where the file keeps none.
const Json* list_of(const Json& whole, const char* key, std::string_view what) {
  return whole.contains(key) && !whole.at(key).is_null() ? &array_field(whole, key, what) : nullptr;
}

LoadRequest request_at(const Json& whole, std::size_t i, std::string_view what) {
  LoadRequest request;
  const auto at = [&](const char* key) -> const Json* {
    const Json* list = list_of(whole, key, what);
    return list == nullptr || list->at(i).is_null() ? nullptr : &list->at(i);
  };
  const auto place = [&](const char* key) { return fmt::format("{}: {}[{}]", what, key, i); };
  if (const Json* error = at("errors"); error != nullptr && error->is_string())
    request.error = error->get<std::string>();
  if (const Json* value = at("input_lens"))
    request.prompt_tokens = static_cast<std::int64_t>(number_of(*value, place("input_lens")));
  if (const Json* value = at("output_lens"))
    request.output_tokens = static_cast<std::int64_t>(number_of(*value, place("output_lens")));
  if (!request.error.empty()) return request;
  if (const Json* value = at("ttfts")) request.ttft_s = number_of(*value, place("ttfts"));
  if (const Json* value = at("latencies")) request.latency_s = number_of(*value, place("latencies"));
  if (const Json* values = at("itls"); values != nullptr && values->is_array()) {
    for (const Json& value : *values) request.itl_s.push_back(number_of(value, place("itls")));
  }
  return request;
}

void read_requests(const Json& whole, std::string_view what, LoadResult& result) {
  const Json* lens = list_of(whole, "input_lens", what);
  if (lens == nullptr) return;
  for (const char* key : kLists) {
    const Json* list = list_of(whole, key, what);
    if (list == nullptr || list->size() == lens->size()) continue;
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: field '{}' has {} entries, input_lens has {}", what, key, list->size(), lens->size()));
  }
  for (std::size_t i = 0; i < lens->size(); ++i) result.requests.push_back(request_at(whole, i, what));
}

}  // namespace

LoadResult import_vllm_bench(const std::filesystem::path& path) {
  const std::string what = path.string();
  const Json whole = parse_json(read_file(path, kFileBytesMax), what, {.depth_max = 16, .nodes_max = 50'000'000});
  LoadResult result;
  result.model = maybe_text(whole, "model_id", what).value_or("");
  result.duration_s = number_field(whole, "duration", what);
  result.completed = int_field(whole, "completed", what);
  result.prompt_tokens = int_field(whole, "total_input_tokens", what);
  result.output_tokens = int_field(whole, "total_output_tokens", what);
  result.requests_per_s = number_field(whole, "request_throughput", what);
  result.output_tokens_per_s = number_field(whole, "output_throughput", what);
  read_requests(whole, what, result);
  std::int64_t errors = 0;
  for (const LoadRequest& request : result.requests) errors += !request.error.empty();
  result.failed = maybe_int(whole, "failed", what).value_or(errors);  // older versions do not count them
  for (const auto& item : whole.items()) {
    const std::string& key = item.key();
    if (key.ends_with("_ms") && item.value().is_number()) {
      result.latencies_ms[key] = item.value().get<double>();
    } else if (!item.value().is_structured()) {
      result.settings[key] = item.value();
    }
  }
  return result;
}

}  // namespace nvllm::bench
