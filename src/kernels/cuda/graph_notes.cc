#include "kernels/cuda/graph_notes.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "kernels/cuda/check.cuh"

namespace nvllm::cuda {

GraphNotes::GraphNotes(std::vector<GraphNote> notes) : notes_(std::move(notes)), last_(notes_.size(), nullptr) {
  for (const GraphNote& note : notes_) kernels_ += note.kernels;
}

void GraphNotes::mark(const LaunchNote& note, bool attends, cudaStream_t stream) {
  cudaStreamCaptureStatus status{};
  cudaGraph_t graph = nullptr;
  const cudaGraphNode_t* before = nullptr;
  const cudaGraphEdgeData* edges = nullptr;
  std::size_t count = 0;
  check(cudaStreamGetCaptureInfo(stream, &status, nullptr, &graph, &before, &edges, &count), "asking what is recorded");
  NVLLM_CHECK(status == cudaStreamCaptureStatusActive && count <= 1);
  notes_.push_back({.note = note, .attends = attends});
  last_.push_back(count == 0 ? nullptr : before[0]);
}

void GraphNotes::settle(cudaGraph_t graph) {
  std::size_t node_count = 0, edge_count = 0;
  check(cudaGraphGetNodes(graph, nullptr, &node_count), "counting a graph's nodes");
  check(cudaGraphGetEdges(graph, nullptr, nullptr, nullptr, &edge_count), "counting a graph's edges");
  NVLLM_CHECK(edge_count + 1 == node_count);
  std::vector<cudaGraphNode_t> from(edge_count), to(edge_count), roots(1);
  std::vector<cudaGraphEdgeData> kinds(edge_count);
  check(cudaGraphGetEdges(graph, from.data(), to.data(), kinds.data(), &edge_count), "reading a graph's edges");
  std::size_t root_count = 1;
  check(cudaGraphGetRootNodes(graph, roots.data(), &root_count), "finding a graph's first node");
  std::unordered_map<cudaGraphNode_t, cudaGraphNode_t> next;
  for (std::size_t i = 0; i < edge_count; ++i) NVLLM_CHECK(next.emplace(from[i], to[i]).second);

  std::size_t at = 0;  // notes whose marks have been passed
  const auto pass_marks = [&](cudaGraphNode_t node) {
    while (at < notes_.size() && last_[at] == node) ++at;
  };
  pass_marks(nullptr);
  std::size_t walked = 0;
  for (cudaGraphNode_t node = roots[0]; node != nullptr; ++walked) {
    cudaGraphNodeType type{};
    check(cudaGraphNodeGetType(node, &type), "reading a graph's node");
    if (type == cudaGraphNodeTypeKernel) {
      NVLLM_CHECK(at > 0);
      ++notes_[at - 1].kernels;
      ++kernels_;
    }
    pass_marks(node);
    const auto found = next.find(node);
    node = found == next.end() ? nullptr : found->second;
  }
  NVLLM_CHECK(walked == node_count && at == notes_.size());
}

namespace {

/// Walks through records in the order in which kernels began.
class RecordWalk {
 public:
  explicit RecordWalk(std::vector<KernelRecord>& records) : records_(records) {
    std::ranges::sort(records_, {}, [](const KernelRecord& r) { return std::pair(r.begin_ns, r.end_ns); });
    if (!records_.empty()) end_ns_ = records_[0].begin_ns;
  }

  /// Since the first kernel began: when the next could begin its own work.
  [[nodiscard]] std::chrono::nanoseconds next_begin() const { return std::chrono::nanoseconds(ready_ns() - records_[0].begin_ns); }
  /// Goes past so many kernels.  Returns: the time in which one of them worked and none before them.
  double pass(std::int64_t kernels) {
    std::uint64_t busy_ns = 0;
    for (; kernels > 0; --kernels, ++at_) {
      const std::uint64_t ready = ready_ns();
      end_ns_ = std::max(end_ns_, records_[at_].end_ns);
      busy_ns += end_ns_ - std::min(ready, end_ns_);
    }
    return static_cast<double>(busy_ns) / 1e9;
  }

 private:
  [[nodiscard]] std::uint64_t ready_ns() const { return std::max(end_ns_, records_[at_].begin_ns); }

  std::vector<KernelRecord>& records_;
  std::size_t at_ = 0;
  std::uint64_t end_ns_ = 0;
};

}  // namespace

void tell_of_graphs(std::span<const GraphNotes* const> graphs, std::vector<KernelRecord>& records, SteadyTime begin, Cost attention,
                    LaunchListener& listener) {
  std::int64_t kernels = 0;
  for (const GraphNotes* graph : graphs) kernels += graph->kernels();
  if (static_cast<std::int64_t>(records.size()) != kernels) return listener.on_lost(kernels);
  RecordWalk walk(records);
  for (const GraphNotes* graph : graphs) {
    for (const GraphNote& of : graph->notes()) {
      if (of.kernels == 0) continue;
      LaunchNote note = of.note;
      note.begin = begin + walk.next_begin();
      note.seconds = walk.pass(of.kernels);
      if (of.attends) note.cost = note.cost + attention;
      listener.on_launch(note);
    }
  }
}

}  // namespace nvllm::cuda
