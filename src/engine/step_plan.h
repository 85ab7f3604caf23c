#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/request.h"
#include "engine/state_slots.h"
#include "kernels/launch_note.h"
#include "kernels/segment.h"

namespace nvllm::engine {

/// Draw one token. Borrows from the scheduler's sequences until commit.
struct SampleTask {
  std::int64_t logit_index = 0;  ///< which of the step's logit rows
  const SamplingParams* params = nullptr;
  std::uint64_t seed = 0;
  std::span<const std::int32_t> prompt;
  std::span<const std::int32_t> output;   ///< generated so far; its length is the draw's counter
  std::span<const std::int32_t> banned;   ///< impossible this time (stop ids before min_tokens)
  std::int32_t forced = -1;  ///< the token that it will be, whatever the logits; -1: none
};

/// Report the log-probability of a token that is already known.
struct ScoreTask {
  std::int64_t logit_index = 0;
  std::int32_t target = 0;
  std::int64_t top_count = 0;
};

/// Copy one state slot, whose contents are of `from.epoch`, over another, in all layers.
struct SlotCopy {
  StateSlot from, to;
};

/// Copy one KV block over another, in all layers.
struct BlockCopy {
  std::int32_t from = -1, to = -1;
};

/// Everything one step computes. Made by the scheduler, executed by a runner.
struct StepPlan {
  // Before anything is computed, in this order: what is copied from may be handed to somebody else by the same plan.
  std::vector<SlotCopy> slot_copies;
  std::vector<BlockCopy> block_copies;
  std::vector<std::int32_t> ids;
  std::vector<Segment> segments;
  std::vector<std::int64_t> logit_rows;
  std::vector<SampleTask> samples;
  std::vector<ScoreTask> scores;

  bool empty() const { return ids.empty(); }
};

/// Executes a plan's copies on the model that holds the memory.
template <class Model>
void copy_states(const StepPlan& plan, Model& model) {
  for (const SlotCopy& copy : plan.slot_copies) model.copy_slot(copy.from.index, copy.to.index);
  for (const BlockCopy& copy : plan.block_copies) model.copy_block(copy.from, copy.to);
}

/// What a listener is told before the plan runs. Rows count as the kernels see them: a prompt's last
/// single token is a decode row.
inline StepNote step_note(const StepPlan& plan, SteadyTime begin) {
  StepNote note{.begin = begin};
  for (const Segment& segment : plan.segments) {
    const bool decodes = segment.token_count == 1 && segment.start > 0;
    (decodes ? note.decode_rows : note.prefill_rows) += segment.token_count;
    note.prefills += segment.start == 0 ? 1 : 0;
  }
  return note;
}

/// What came of it, in the order of the plan's tasks. A sample with id -1 met logits that are not
/// finite: that request ends with an error, its neighbours go on.
struct StepResult {
  std::vector<ScoredToken> samples;
  std::vector<ScoredToken> scores;
};

}  // namespace nvllm::engine
