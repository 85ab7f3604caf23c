#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/edit_lister.h"
#include "kernels/cuda/adjust.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/draw.h"
#include "kernels/cuda/greedy.h"
#include "kernels/cuda/report.h"

namespace nvllm::engine {

/// Samples on the device what Sampler would on the host, from the logits of a step and the greedy
/// choices of its rows: the largest logit or a draw, after biases, impossible tokens and penalties,
/// with the alternatives that are asked for. Chosen are the tokens that Sampler chooses, but that
/// draws walk through what top_k, top_p and min_p keep in order of id. A token depends on its row
/// and task alone. Left to the host: tasks that want more than kAlternativesMax alternatives, have
/// two biases of one id, or a token that is forced, which happens once in a request.
///   Memory: some 48 bytes on the device for each token of the vocabulary: rows are adjusted in
///   groups. On the host, edits wait in pinned memory: 16 bytes for each token that a task changes,
///   at most the whole vocabulary. There is 1 MiB at first; a step that needs more takes at least
///   twice as much and keeps it, which holds that step up, but few of a server's life.
class DeviceSampler {
 public:
  /// For as many tasks as a step has rows of logits; `choices` are those of the rows, on the
  /// device, in every step.
  DeviceSampler(std::int64_t tasks_max, std::int64_t vocab_size, const cuda::GreedyChoice* choices);

  /// Makes ready for a step's tasks; whatever was launched before must be done.
  ///   Errors: Error(kDevice) if there is no room for edits.
  void prepare(std::span<const SampleTask> tasks);
  /// Whether these need more than the choices of the rows as they are.
  [[nodiscard]] bool launches() const { return draw_count_ + report_count_ > 0; }
  /// Queues what was made ready for, after the choices of the rows.
  void launch(CudaOps& ops, View<const float> logits) const;
  /// What came of one of the tasks, once the stream has been waited for; nothing if it is left to
  /// the host. `choices`: of the rows, on the host.
  [[nodiscard]] std::optional<ScoredToken> token(std::size_t index, const SampleTask& task,
                                                 const cuda::GreedyChoice* choices) const;

 private:
  /// Where a task's token comes from, and its index there.
  struct Source {
    enum class Kind { kHost, kChoice, kDraw, kReport } kind = Kind::kHost;
    std::int64_t index = 0;
  };
  struct Group {
    cuda::AdjustGroup adjust;
    std::int64_t first_draw = 0, draw_count = 0;
    std::int64_t first_report = 0;  ///< one for each of its rows
  };

  Source prepare_plain(const SampleTask& task);
  Source prepare_adjusted(const SampleTask& task);
  /// Adds a draw, or takes the choice of a row.  Returns: where on the device the token's id will
  /// be.
  const std::int32_t* choose(const SampleTask& task, const cuda::GreedyChoice* choices,
                             std::int64_t row);
  Source add_report(const SampleTask& task, const std::int32_t* id);
  void launch_draws(CudaOps& ops, View<const float> logits, const cuda::GreedyChoice* choices,
                    std::int64_t first, std::int64_t count) const;
  void launch_reports(CudaOps& ops, View<const float> logits, std::int64_t first,
                      std::int64_t count) const;
  [[nodiscard]] ScoredToken reported(const cuda::TokenReport& report, const SampleTask& task) const;

  std::int64_t vocab_size_;
  const cuda::GreedyChoice* choices_;
  EditLister lister_;
  cuda::AdjustWorkspace adjust_;
  cuda::GreedyWorkspace greedy_;  ///< of adjusted rows
  cuda::DrawWorkspace draws_;
  cuda::ReportWorkspace reports_;
  std::vector<Source> sources_;  ///< one for each task
  std::vector<Group> groups_;
  std::int64_t draw_count_ = 0, report_count_ = 0, plain_draws_ = 0, plain_reports_ = 0;
};

}  // namespace nvllm::engine
