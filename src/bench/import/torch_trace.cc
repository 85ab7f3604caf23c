// A trace of a few hundred megabytes passes through a window of half a megabyte. Only device work is
// kept, and of that only its statistics; everything else is counted.

#include "bench/import/torch_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "bench/import/trace_event.h"
#include "bench/import/trace_window.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kCategoriesMax = 64;
constexpr std::size_t kGraphNodesMax = 200'000;

template <class Number>
bool parse_number(std::string_view text, Number& value) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if constexpr (std::is_floating_point_v<Number>) {
    if (!std::isfinite(value)) return false;
  }
  return fault == std::errc() && end == text.data() + text.size();
}

/// "[4, 1, 1]" as three numbers.
std::optional<Dim3> parse_shape(std::string_view text) {
  Dim3 shape{};
  if (!text.starts_with('[') || !text.ends_with(']')) return std::nullopt;
  text.remove_prefix(1);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::size_t stop = text.find(i + 1 < shape.size() ? ',' : ']');
    if (stop == std::string_view::npos) return std::nullopt;
    std::string_view part = text.substr(0, stop);
    while (part.starts_with(' ') || part.starts_with('\n')) part.remove_prefix(1);
    while (part.ends_with(' ') || part.ends_with('\n')) part.remove_suffix(1);
    if (!parse_number(part, shape[i]) || shape[i] < 0) return std::nullopt;
    text.remove_prefix(stop + 1);
  }
  return shape;
}

enum class Work { kNone, kKernel, kCopy, kFill };

/// Older profilers wrote "Kernel", "Memcpy" and "Memset".
Work work_of(std::string_view category) {
  if (category == "kernel" || category == "Kernel") return Work::kKernel;
  if (category == "gpu_memcpy" || category == "Memcpy") return Work::kCopy;
  if (category == "gpu_memset" || category == "Memset") return Work::kFill;
  return Work::kNone;
}

/// How often each node of each captured graph ran. Every launch of a graph runs all of its nodes, so
/// within a graph the counts are equal, or records were lost.
class GraphNodes {
 public:
  void add(std::string_view graph, std::string_view node) {
    std::uint32_t graph_id = 0;
    std::uint64_t node_id = 0;
    if (!parse_number(graph, graph_id) || !parse_number(node, node_id)) return;
    // Node ids carry the graph id in their upper half on some drivers; mixing both is right on all.
    const std::uint64_t key = node_id ^ (static_cast<std::uint64_t>(graph_id) << 32);
    const auto found = nodes_.find(key);
    if (found != nodes_.end()) {
      ++found->second.second;
    } else if (nodes_.size() < kGraphNodesMax) {
      nodes_.emplace(key, std::pair(graph_id, 1));
    } else {
      overflow_ = true;
    }
  }

  void report(std::vector<std::string>& findings) const {
    if (overflow_) {
      findings.push_back(fmt::format("more than {} graph nodes; their counts were not compared", kGraphNodesMax));
      return;
    }
    std::map<std::uint32_t, std::pair<std::int64_t, std::int64_t>> bounds;
    for (const auto& [key, node] : nodes_) {
      const auto [graph, count] = node;
      auto& [least, most] = bounds.try_emplace(graph, count, count).first->second;
      least = std::min(least, count);
      most = std::max(most, count);
    }
    for (const auto& [graph, bound] : bounds) {
      if (bound.first == bound.second) continue;
      findings.push_back(fmt::format("graph {}: one node ran {} times, another {}; each launch runs both", graph,
                                     bound.first, bound.second));
    }
  }

 private:
  std::unordered_map<std::uint64_t, std::pair<std::uint32_t, std::int64_t>> nodes_;
  bool overflow_ = false;
};

class Importer {
 public:
  Importer(RawRead raw, const std::string& what, const TraceOptions& options)
      : options_(options),
        what_(what),
        window_(std::move(raw), what, options.event_bytes_max),
        tallies_(options.kinds_max, what) {}

  TraceImport run() {
    const std::optional<char> first = window_.peek();
    if (first == '{') {
      window_.take();
      read_document();
    } else if (first == '[') {
      window_.take();
      read_events();
    } else if (first) {
      window_.refuse("'{' or '['");
    } else {
      stop_at("the beginning");
    }
    if (result_.end == TraceEnd::kComplete && window_.peek()) window_.refuse("the end of the file");
    if (result_.end == TraceEnd::kComplete && !events_seen_) window_.refuse("an array 'traceEvents'");
    // Asking for the end also finds a member that was cut behind the last bracket.
    if (result_.end == TraceEnd::kComplete && window_.source().truncated()) stop_at("the gzip trailer");
    result_.table = tallies_.table(options_.leg);
    result_.json_bytes = window_.source().bytes();
    result_.file_bytes = window_.source().raw_bytes();
    find_losses();
    return std::move(result_);
  }

 private:
  void stop_at(std::string_view place) {
    const bool gzip = window_.source().truncated();
    result_.end = gzip ? TraceEnd::kTruncatedGzip : TraceEnd::kTruncatedJson;
    result_.end_detail = fmt::format("stops at {}, after {} events and {} bytes of JSON", place, result_.events,
                                     window_.source().bytes());
  }

  bool stopped() const { return result_.end != TraceEnd::kComplete; }

  /// The fields beside the events. Only traceEvents is looked into.
  void read_document() {
    for (std::optional<char> next = window_.peek(); next != '}'; next = window_.peek()) {
      if (!next) return stop_at("a field of the document");
      if (*next != '"') window_.refuse("a key in quotes");
      std::string key;
      const bool whole = window_.take_value([&key](const char* begin, const char* end) {
        const Scanned scanned = scan_value(begin, end);
        if (scanned.outcome == Scanned::Outcome::kDone) key.assign(begin + 1, scanned.next - 1);
        return scanned;
      });
      if (!whole) return stop_at("a key of the document");
      next = window_.peek();
      if (!next) return stop_at("a field of the document");
      if (*next != ':') window_.refuse("':'");
      window_.take();
      if (key == "traceEvents" && window_.peek() == '[') {
        window_.take();
        read_events();
        if (stopped()) return;
      } else if (!window_.skip_value()) {
        return stop_at(fmt::format("field '{}'", key.substr(0, 80)));
      }
      next = window_.peek();
      if (next == ',') {
        window_.take();
      } else if (next && next != '}') {
        window_.refuse("',' or '}'");
      }
    }
    window_.take();
  }

  void read_events() {
    events_seen_ = true;
    for (std::optional<char> next = window_.peek(); next != ']'; next = window_.peek()) {
      if (!next) return stop_at("the list of events");
      if (*next != '{') window_.refuse("an event");
      TraceEvent event;
      const bool whole =
          window_.take_value([&event](const char* begin, const char* end) { return scan_event(begin, end, event); });
      if (!whole) return stop_at("an event");
      take_event(event);
      next = window_.peek();
      if (next == ',') {
        window_.take();
      } else if (next && next != ']') {
        window_.refuse("',' or ']'");
      }
    }
    window_.take();
  }

  void take_event(const TraceEvent& event) {
    ++result_.events;
    const Work work = work_of(event.category);
    if (work == Work::kNone || event.phase != "X") return take_other(event);
    double duration_us = 0, ts_us = 0;
    if (event.name.empty() || !parse_number(event.duration, duration_us) || duration_us < 0 ||
        !parse_number(event.ts, ts_us)) {
      ++result_.malformed;
      return;
    }
    if (work == Work::kKernel) take_kernel(event);
    result_.copies += work == Work::kCopy;
    result_.fills += work == Work::kFill;
    tallies_.add(key_of(event), duration_us, [&] { return describe(event); });
    first_us_ = std::min(first_us_, ts_us);
    last_us_ = std::max(last_us_, ts_us + duration_us);
    result_.first_us = first_us_;
    result_.last_us = last_us_;
  }

  void take_kernel(const TraceEvent& event) {
    ++result_.kernels;
    result_.kernels_without_shape += event.grid.empty() || event.block.empty();
    if (event.graph_node_id.empty() || event.graph_node_id == "0") return;
    ++result_.kernels_in_graphs;
    graph_nodes_.add(event.graph_id, event.graph_node_id);
  }

  void take_other(const TraceEvent& event) {
    if (event.category == "cuda_runtime" || event.category == "cuda_driver" || event.category == "Runtime") {
      const std::string_view call = event.name;
      result_.graph_launches += call == "cudaGraphLaunch" || call == "cuGraphLaunch" || call == "hipGraphLaunch";
      result_.kernel_launches += call.starts_with("cudaLaunchKernel") || call.starts_with("cuLaunchKernel") ||
                                 call == "cudaLaunchCooperativeKernel" || call == "hipLaunchKernel" ||
                                 call == "hipModuleLaunchKernel";
    }
    if (event.category == "user_annotation") result_.profiler_steps += event.name.starts_with("ProfilerStep#");
    const std::string_view category = event.category.empty() ? "(none)" : event.category.substr(0, 64);
    auto found = other_.find(category);
    if (found == other_.end()) found = other_.emplace(other_.size() < kCategoriesMax ? category : "(more)", 0).first;
    ++found->second;
  }

  /// The raw texts, joined by a byte that JSON never holds unescaped.
  std::string_view key_of(const TraceEvent& event) {
    if (options_.key == TraceKey::kName) return event.name;
    key_.assign(event.name);
    for (const std::string_view part : {event.grid, event.block, event.shared_memory}) {
      key_.push_back('\x1f');
      key_ += part;
    }
    return key_;
  }

  KernelRow describe(const TraceEvent& event) const {
    KernelRow row;
    row.name = unescaped(event.name, what_);
    if (options_.key == TraceKey::kName) return row;
    row.grid = parse_shape(event.grid);
    row.block = parse_shape(event.block);
    std::int64_t shared_bytes = 0;
    if (parse_number(event.shared_memory, shared_bytes)) row.shared_bytes = shared_bytes;
    return row;
  }

  void find_losses() {
    std::vector<std::string>& findings = result_.findings;
    result_.other_events = {other_.begin(), other_.end()};
    if (stopped()) findings.push_back(fmt::format("{}: the file {}", to_string(result_.end), result_.end_detail));
    if (result_.kernels == 0) findings.push_back("no kernel at all");
    if (result_.malformed > 0) {
      findings.push_back(fmt::format("{} pieces of device work without name, time or duration", result_.malformed));
    }
    if (result_.graph_launches > 0 && result_.kernels_in_graphs == 0) {
      findings.push_back(
          fmt::format("{} graph launches, but no kernel names a graph: they are lost, or cannot be told "
                      "from the others",
                      result_.graph_launches));
    }
    const std::int64_t single = result_.kernels - result_.kernels_in_graphs;
    if (result_.kernel_launches > single) {
      findings.push_back(fmt::format("{} kernel launches, but {} kernels outside of graphs: {} records are missing",
                                     result_.kernel_launches, single, result_.kernel_launches - single));
    }
    graph_nodes_.report(findings);
  }

  const TraceOptions options_;
  const std::string what_;
  TraceWindow window_;
  KernelTallies tallies_;
  GraphNodes graph_nodes_;
  std::map<std::string, std::int64_t, std::less<>> other_;
  std::string key_;
  double first_us_ = std::numeric_limits<double>::infinity();
  double last_us_ = -std::numeric_limits<double>::infinity();
  bool events_seen_ = false;
  TraceImport result_;
};

}  // namespace

std::string_view to_string(TraceEnd end) {
  switch (end) {
    case TraceEnd::kComplete:
      return "complete";
    case TraceEnd::kTruncatedGzip:
      return "truncated_gzip";
    case TraceEnd::kTruncatedJson:
      return "truncated_json";
  }
  return "truncated_json";
}

TraceImport read_torch_trace(RawRead raw, const std::string& what, const TraceOptions& options) {
  return Importer(std::move(raw), what, options).run();
}

TraceImport import_torch_trace(const std::filesystem::path& path, const TraceOptions& options) {
  return read_torch_trace(read_from_file(path), path.string(), options);
}

}  // namespace nvllm::bench
