#pragma once

// Whose the kernels of a graph are: what announced itself while the graph was recorded, and what it launched.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/device_trace.h"
#include "kernels/launch_note.h"

struct CUstream_st;
struct CUgraph_st;
struct CUgraphNode_st;

namespace nvllm::cuda {

/// One announcement within a graph.
struct GraphNote {
  LaunchNote note;
  bool attends = false;       ///< the cost of attention comes on top: it depends on the step
  std::int64_t kernels = 0;   ///< that followed it, before the next
};

/// The announcements of one graph, in the order of its kernels.
class GraphNotes {
 public:
  GraphNotes() = default;
  /// As if a graph had been recorded with these.
  explicit GraphNotes(std::vector<GraphNote> notes);
  /// What `stream` records from now on, until the next mark, is this.
  void mark(const LaunchNote& note, bool attends, CUstream_st* stream);
  /// Counts the kernels of each mark, once, in the graph that was recorded: a chain.
  ///   Errors: aborts if its nodes do not follow each other one by one.
  void settle(CUgraph_st* graph);

  [[nodiscard]] std::span<const GraphNote> notes() const { return notes_; }
  [[nodiscard]] std::int64_t kernels() const { return kernels_; }

 private:
  std::vector<GraphNote> notes_;
  std::vector<CUgraphNode_st*> last_;  ///< the node before each mark; null: none
  std::int64_t kernels_ = 0;
};

/// Tells of graphs that ran one after the other. A kernel that started early waits for those before it, so a note's time counts from the end of the
/// kernel before it, and the notes' times add up to the time in which the device worked.
///   `records`: of all their kernels, in any order; sorted here. `begin`: when the first was launched. `attention`: what
///   GraphNote::attends stands for.
///   If there are more or fewer records than kernels, nobody knows which is whose: then all are lost, and it tells of that.
void tell_of_graphs(std::span<const GraphNotes* const> graphs, std::vector<KernelRecord>& records, SteadyTime begin, Cost attention,
                    LaunchListener& listener);

}  // namespace nvllm::cuda
