#pragma once

#include <algorithm>
#include <cstdint>

#include "checkpoint/checkpoint.h"
#include "checkpoint/weight_names.h"
#include "engine/engine.h"
#include "model/model_weights.h"

namespace nvllm::engine {

/// What loading a model will move.
struct WeightTotals {
  std::int64_t prepared_bytes = 0;  ///< in the backend's form
  std::int64_t file_bytes = 0;
  std::int64_t cols_max = 0;
};

/// Adds up what the forward will prepare. Headers only: nothing is read or generated.
template <class B>
WeightTotals weigh(const checkpoint::Checkpoint& files) {
  WeightTotals totals;
  for (const checkpoint::WeightSpec& spec : checkpoint::required_weights(files.config())) {
    if (spec.name.starts_with("mtp.")) continue;  // the head for drafts stays in its file
    if (spec.role == checkpoint::WeightSpec::Role::kVector) {
      std::int64_t elements = 1;
      for (const std::int64_t extent : spec.shape) elements *= extent;
      totals.prepared_bytes += elements * 4;
      continue;
    }
    MatrixSource layout;
    layout.rows = spec.shape[0];
    layout.cols = spec.shape[1];
    layout.format = files.format(spec.name);
    totals.prepared_bytes += B::matrix_bytes(layout);
    totals.file_bytes += file_bytes(layout);
    totals.cols_max = std::max(totals.cols_max, layout.cols);
  }
  return totals;
}

/// Turns news of single matrices into bytes done of bytes in all.
inline model::PrepareProgress counted(const LoadProgress& progress, std::int64_t total) {
  if (!progress) return {};
  return [progress, total, done = std::int64_t{0}](std::int64_t bytes) mutable { progress(done += bytes, total); };
}

}  // namespace nvllm::engine
