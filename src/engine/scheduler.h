#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/prefix_keeper.h"
#include "engine/sequence.h"
#include "engine/step_plan.h"

namespace nvllm::engine {

/// Decides who is served in the next step and in which memory. Pure bookkeeping: no device, no
/// clock, no socket, no thread. By priority, then first come, first served; decode rows before prompt chunks. When
/// blocks run out the youngest running sequence of the least urgent gives up all its memory and is computed anew later;
/// the oldest of the most urgent is never a victim, so every step makes progress.
class Scheduler {
 public:
  /// Plans within the sizes that the runner settled.
  explicit Scheduler(const EngineLimits& limits);

  /// Queues a sequence. It must fit alone: checked at submission.
  void add(std::unique_ptr<Sequence> sequence);
  /// Ends sequences whose clients have gone. Call between steps.
  void drop_cancelled();
  /// Plans the next step; empty if there is nothing to do. The plan borrows from sequences until
  /// commit.
  StepPlan plan();
  /// Takes in what the planned step computed: appends tokens, ends finished sequences, tells streams.
  void commit(StepResult result);
  /// Ends everything with an error: the engine is dead.
  void fail_all(const std::string& message);
  /// Ends everything as cancelled.
  void cancel_all();
  /// Forgets every cached beginning of a prompt.
  void reset_prefix_cache() { prefixes_.reset(); }

  bool idle() const { return running_.empty() && waiting_.empty(); }
  std::int64_t waiting() const { return static_cast<std::int64_t>(waiting_.size()); }
  /// Adds what the scheduler knows to a snapshot.
  void report(EngineStats& stats) const;
  /// Who holds which memory, for tests that poison what nobody holds.
  const KvBlocks& blocks() const { return blocks_; }
  const StateSlots& slots() const { return slots_; }

 private:
  using SequenceList = std::list<std::unique_ptr<Sequence>>;

  /// What one sequence does in the planned step.
  struct Planned {
    Sequence* sequence;
    std::int64_t rows;
    std::int64_t score_count;
    bool samples;
  };

  bool make_room(Sequence& sequence, std::int64_t tokens);
  SequenceList::iterator victim();
  void preempt(SequenceList::iterator victim);
  void admit(std::int64_t& budget, StepPlan& plan);
  void plan_rows(Sequence& sequence, std::int64_t& budget, StepPlan& plan);
  std::int64_t plan_scores(const Sequence& sequence, std::int64_t rows, StepPlan& plan) const;
  void append_token(Sequence& sequence, ScoredToken token);
  void finish(Sequence& sequence, StreamEvent event);
  void end_all(SequenceList& list, const StreamEvent& event);

  EngineLimits limits_;
  KvBlocks blocks_;
  StateSlots slots_;
  PrefixKeeper prefixes_;
  SequenceList running_;  ///< in order of admission: oldest first
  SequenceList waiting_;  ///< next first; pre-empted sequences return to the front
  std::vector<Planned> planned_;
  EngineStats totals_;
};

}  // namespace nvllm::engine
