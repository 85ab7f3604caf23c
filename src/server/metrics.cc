#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace nvllm::server {
namespace {

using engine::FinishReason;

std::string label_text(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

void write_head(std::string_view name, std::string_view kind, std::string_view help,
                std::string& out) {
  out += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, kind, help);
}

}  // namespace

void Histogram::observe(double value, std::int64_t times) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  counts_[static_cast<std::size_t>(bound - bounds_.begin())] += times;
  sum_ += value * static_cast<double>(times);
  count_ += times;
}

void Histogram::write(std::string_view name, std::string_view labels, std::string& out) const {
  const std::string_view comma = labels.empty() ? "" : ",";
  std::int64_t below = 0;
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    below += counts_[i];
    out += fmt::format("{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma, bounds_[i], below);
  }
  out += fmt::format("{}_bucket{{{}{}le=\"+Inf\"}} {}\n", name, labels, comma, count_);
  out +=
      fmt::format("{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", name, labels, sum_, name, labels, count_);
}

void Metrics::observe_first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_.observe(seconds);
}

void Metrics::observe_token_gaps(double seconds, std::int64_t count) {
  const std::lock_guard lock(mutex_);
  token_gap_.observe(seconds, count);
}

void Metrics::observe_finish(FinishReason reason, double seconds) {
  const std::lock_guard lock(mutex_);
  ++finished_.at(static_cast<std::size_t>(reason));
  whole_.observe(seconds);
}

void Metrics::count_refusal(int status) {
  const std::lock_guard lock(mutex_);
  if (status >= 0 && status < static_cast<int>(refused_.size())) {
    ++refused_[static_cast<std::size_t>(status)];
  }
}

std::string Metrics::write(const engine::EngineStats& stats, std::string_view model_name) const {
  const std::string labels = fmt::format("model_name=\"{}\"", label_text(model_name));
  std::string out;
  const auto value = [&](std::string_view name, std::string_view kind, std::string_view help,
                         double number) {
    write_head(name, kind, help, out);
    out += fmt::format("{}{{{}}} {}\n", name, labels, number);
  };
  const auto share = [](std::int64_t used, std::int64_t total) {
    return total > 0 ? static_cast<double>(used) / static_cast<double>(total) : 0.0;
  };
  const auto count = [](std::int64_t number) { return static_cast<double>(number); };
  value("vllm:num_requests_running", "gauge", "Sequences in the running batch.",
        count(stats.running));
  value("vllm:num_requests_waiting", "gauge", "Sequences waiting to be run.", count(stats.waiting));
  value("vllm:kv_cache_usage_perc", "gauge", "Share of KV blocks in use; 1 is all of them.",
        share(stats.kv_blocks_used, stats.kv_blocks_total));
  value("nvllm:state_slot_usage_perc", "gauge",
        "Share of recurrent-state slots in use; 1 is all of them.",
        share(stats.state_slots_used, stats.state_slots_total));
  value("nvllm:state_slots_used", "gauge", "Recurrent-state slots in use.",
        count(stats.state_slots_used));
  value("nvllm:state_slots_total", "gauge", "Recurrent-state slots planned at start.",
        count(stats.state_slots_total));
  value("vllm:num_preemptions_total", "counter", "Sequences put back to the queue.",
        count(stats.preemptions));
  value("vllm:prompt_tokens_total", "counter", "Prompt tokens processed.",
        count(stats.prompt_tokens));
  value("vllm:generation_tokens_total", "counter", "Tokens generated.",
        count(stats.generation_tokens));
  const engine::PrefixStats& prefix = stats.prefix;
  value("vllm:prefix_cache_queries_total", "counter",
        "Tokens of prompts that were looked up in the prefix cache.", count(prefix.queried_tokens));
  value("vllm:prefix_cache_hits_total", "counter",
        "Tokens of prompts that did not have to be computed.", count(prefix.cached_tokens));
  value("nvllm:prefix_cache_hit_requests_total", "counter",
        "Sequences that went on from a cached beginning.", count(prefix.hits));
  value("nvllm:prefix_cache_states", "gauge", "Recurrent states kept to go on from.",
        count(prefix.checkpoints));
  value("nvllm:prefix_cache_kv_blocks", "gauge",
        "KV blocks that only the prefix cache holds; they are freed when needed.",
        count(prefix.kv_blocks));
  value("nvllm:prefix_cache_evictions_total", "counter", "States that made room for others.",
        count(prefix.evictions));
  write_head("nvllm:prefix_cache_misses_total", "counter",
             "Sequences computed from their first token, by reason.", out);
  for (std::size_t reason = 0; reason < engine::kPrefixMissCount; ++reason) {
    out += fmt::format("nvllm:prefix_cache_misses_total{{{},reason=\"{}\"}} {}\n", labels,
                       engine::to_string(static_cast<engine::PrefixMiss>(reason)),
                       prefix.misses.at(reason));
  }
  value("nvllm:engine_steps_total", "counter", "Steps the engine has completed.",
        count(stats.steps));
  value("nvllm:engine_alive", "gauge", "1 while the engine works, 0 after it failed.",
        stats.alive ? 1 : 0);

  const std::lock_guard lock(mutex_);
  write_head("vllm:request_success_total", "counter", "Finished sequences by reason.", out);
  for (const auto reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled,
                            FinishReason::kError}) {
    out += fmt::format("vllm:request_success_total{{{},finished_reason=\"{}\"}} {}\n", labels,
                       engine::to_string(reason), finished_.at(static_cast<std::size_t>(reason)));
  }
  write_head("nvllm:requests_refused_total", "counter", "Calls refused, by HTTP status.", out);
  for (std::size_t status = 0; status < refused_.size(); ++status) {
    if (refused_[status] == 0) continue;
    out += fmt::format("nvllm:requests_refused_total{{{},status=\"{}\"}} {}\n", labels, status,
                       refused_[status]);
  }
  const auto histogram = [&](std::string_view name, std::string_view help, const Histogram& data) {
    write_head(name, "histogram", help, out);
    data.write(name, labels, out);
  };
  histogram("vllm:time_to_first_token_seconds", "From the call to its first token.", first_token_);
  histogram("vllm:inter_token_latency_seconds", "Between tokens of a sequence.", token_gap_);
  // vLLM's former name of the same thing, which dashboards still ask for.
  histogram("vllm:time_per_output_token_seconds", "Between tokens of a sequence.", token_gap_);
  histogram("vllm:e2e_request_latency_seconds", "From the call to the end of a sequence.", whole_);
  return out;
}

}  // namespace nvllm::server
