#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/step_plan.h"
#include "kernels/cuda/adjust.h"

namespace nvllm::engine {

/// Lists what Sampler does to logits before it chooses, token by token, for the device to do. Keeps
/// its working memory between calls.
class EditLister {
 public:
  explicit EditLister(std::int64_t vocab_size);

  /// No list of the task is longer. 0: its tokens are chosen from the logits as they are.
  [[nodiscard]] std::int64_t most(const SampleTask& task) const;
  /// Writes the task's edits to `out`, [most(task)], in no particular order, each id once.
  ///   Returns: how many; nothing if an id has two biases: added one after the other they round
  ///   otherwise than their sum.
  [[nodiscard]] std::optional<std::int64_t> list(const SampleTask& task, cuda::LogitEdit* out);

 private:
  std::vector<std::int32_t> places_;  ///< of an id in the list; -1 between calls
};

}  // namespace nvllm::engine
