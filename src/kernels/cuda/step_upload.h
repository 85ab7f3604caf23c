#pragma once

// Brings what a step is about to device memory, in at most two copies; in none where the device knows it already.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/greedy.h"
#include "kernels/cuda/step_table.h"
#include "kernels/cuda/stream.h"
#include "kernels/segment.h"

namespace nvllm::cuda {

/// The step table, rows and wanted logits of one step at a time, at addresses that never change.
class StepUpload {
 public:
  StepUpload() = default;
  /// With `token_by_token`, each token of a prompt has a lane to itself.
  StepUpload(std::int64_t rows_max, std::int64_t lanes_max, std::int64_t blocks_per_lane, bool token_by_token);

  /// Queues copies of what the device does not have yet. Lanes of one token come first in the table, whatever the order of
  /// segments. Lanes beyond the segments, up to `lane_count`, have no token; so have rows beyond the ids, one for each of
  /// them.
  void bring(std::span<const std::int32_t> ids, std::span<const Segment> segments, std::span<const std::int64_t> logit_rows,
             std::int64_t lane_count, int chunk_tokens, Stream& stream);

  /// Queues the next step of these lanes: each goes on by one token, its greedy choice. For steps of one token each; to be
  /// recorded in a graph.
  void advance_on_device(const GreedyChoice* choices, std::int64_t lane_count, Stream& stream) const;
  /// What a run of advance_on_device() did, with the tokens that it took, [segments].
  void advanced(std::span<const GreedyChoice> choices);

  /// The lanes of sequences that have one token in the step, or all.
  [[nodiscard]] StepTable decode_table() const;
  [[nodiscard]] StepTable table() const;
  /// Lanes of prompts, as they lie on the device from index decode_table().lane_count on.
  [[nodiscard]] std::span<const Lane> prefill_lanes() const;
  /// The lane at an index alone.
  [[nodiscard]] StepTable lane_table(std::int64_t index) const;
  [[nodiscard]] const StepRow* rows() const;
  /// Whether row i is wanted i-th, for all that are wanted.
  [[nodiscard]] bool logit_rows_in_place() const { return logit_rows_in_place_; }
  [[nodiscard]] std::int64_t bytes() const { return device_.bytes() + blocks_.bytes(); }

 private:
  static constexpr std::int64_t kLanesAt = 16;  ///< bytes; what is of the whole step comes before
  [[nodiscard]] Lane* host_lanes() const { return reinterpret_cast<Lane*>(host_.as<std::byte>() + kLanesAt); }
  [[nodiscard]] Lane* device_lanes() const { return reinterpret_cast<Lane*>(device_.as<std::byte>() + kLanesAt); }
  [[nodiscard]] StepRow* device_rows() const { return reinterpret_cast<StepRow*>(device_lanes() + lanes_max_); }
  [[nodiscard]] StepRow* host_rows() const { return reinterpret_cast<StepRow*>(host_lanes() + lanes_max_); }
  void bring_lane(std::int64_t index, const Lane& lane, const Segment& segment, std::span<const std::int32_t> ids);
  void bring_blocks(std::int64_t lane, std::span<const std::int32_t> blocks);

  std::int64_t rows_max_ = 0, lanes_max_ = 0, blocks_per_lane_ = 0;
  std::int64_t decode_count_ = 0, lane_count_ = 0;
  bool token_by_token_ = false, logit_rows_in_place_ = true;
  std::vector<std::byte> there_;  ///< what the device has of the lanes and rows; empty before the first step
  PinnedBuffer host_, host_blocks_;  ///< blocks: what the device has, since tables change every few tokens only
  DeviceBuffer device_, blocks_;
  std::int64_t changed_begin_ = 0, changed_end_ = 0;  ///< lanes whose tables differ from the device's
};

}  // namespace nvllm::cuda
