#pragma once

// Rows of logits as their requests want them: biases, impossible tokens and penalties, in copies.

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/stream.h"
#include "tensor/view.h"

namespace nvllm::cuda {

/// What becomes of one token's logit, in this order.
struct alignas(16) LogitEdit {
  static constexpr std::int32_t kBiased = 1;     ///< `bias` is added
  static constexpr std::int32_t kBanned = 2;     ///< it becomes minus infinity
  static constexpr std::int32_t kPenalised = 4;  ///< as its task says

  std::int32_t id = 0;
  std::int32_t what = 0;  ///< of these
  float bias = 0;
  std::int32_t count = 0;  ///< occurrences in the output
};

/// One row. Logits of penalised tokens are divided by `repetition` if positive and multiplied by it
/// otherwise; if the output has the token, frequency * count + presence is then subtracted. Every
/// operation rounds to float.
struct AdjustTask {
  std::int32_t row = 0;         ///< of the logits
  std::int32_t first_edit = 0;  ///< of its group
  std::int32_t edit_count = 0;
  float repetition = 1, frequency = 0, presence = 0;
};

/// Tasks that are adjusted together, and their edits, which lie together.
struct AdjustGroup {
  std::int64_t first_task = 0, task_count = 0;  ///< at most kAdjustRows
  std::int64_t first_edit = 0, edit_count = 0;  ///< at most AdjustWorkspace::edits_at_once()
};

inline constexpr std::int64_t kAdjustRows = 8;  ///< copies of rows that there is room for

/// Tasks and edits on their way to the device, and room there for one group of them.
///   Memory: 48 bytes on the device for each token of the vocabulary.
class AdjustWorkspace {
 public:
  AdjustWorkspace() = default;
  AdjustWorkspace(std::int64_t tasks_max, std::int64_t vocab);
  /// To be filled before adjust_logits(), for all groups, [tasks_max].
  [[nodiscard]] AdjustTask* tasks() const { return host_tasks_.as<AdjustTask>(); }
  /// The same, [as many as were reserved]. No two of a task have the same id.
  [[nodiscard]] LogitEdit* edits() const { return host_edits_.as<LogitEdit>(); }
  /// Makes room on the host for so many edits: at least twice what there was, if that is too
  /// little. What was there is lost, so nothing of it may be on its way.  Errors: Error(kDevice) if
  /// there is no such memory.
  void reserve_edits(std::int64_t count);
  [[nodiscard]] std::int64_t edits_reserved() const {
    return host_edits_.bytes() / static_cast<std::int64_t>(sizeof(LogitEdit));
  }
  /// As many as the vocabulary has tokens, so that any task alone has room.
  [[nodiscard]] std::int64_t edits_at_once() const {
    return edits_.bytes() / static_cast<std::int64_t>(sizeof(LogitEdit));
  }

 private:
  friend View<const float> adjust_logits(View<const float> logits, const AdjustWorkspace& workspace,
                                         const AdjustGroup& group, CUstream_st* stream);
  PinnedBuffer host_tasks_, host_edits_;
  DeviceBuffer tasks_, edits_, rows_;
};

/// The rows of a group's tasks, adjusted, [task_count, vocab]. They stay until the next call;
/// `logits` are only read.
///   Cost: reads each row and writes it, once; every CTA of a row reads all of the row's edits.
[[nodiscard]] View<const float> adjust_logits(View<const float> logits,
                                              const AdjustWorkspace& workspace,
                                              const AdjustGroup& group, CUstream_st* stream);

}  // namespace nvllm::cuda
