// plan() walks the running sequences from oldest to youngest: those that only decode first, then
// those still in their prompt, then newcomers, until the step's token budget is spent. commit()
// walks the same list with the results.

#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace nvllm::engine {

namespace {

bool contains(const std::vector<std::int32_t>& ids, std::int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// One token is left to compute: the step after the prompt, and every decode step.
bool decoding(const Sequence& s) { return s.computed > 0 && s.token_count() - s.computed == 1; }

}  // namespace

Scheduler::Scheduler(const EngineLimits& limits)
    : limits_(limits), blocks_(limits.kv_block_count, limits.kv_block_tokens), slots_(limits.state_slot_count),
      prefixes_(limits_, blocks_, slots_) {
  NVLLM_CHECK_GE(limits.logit_rows, limits.max_num_seqs);
  NVLLM_CHECK_GE(limits.max_num_batched_tokens, limits.max_num_seqs);
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  const auto later = std::ranges::find_if(
      waiting_, [&](const auto& other) { return other->request.priority > sequence->request.priority; });
  waiting_.insert(later, std::move(sequence));
}

void Scheduler::finish(Sequence& sequence, StreamEvent event) {
  ++totals_.finished[static_cast<std::size_t>(event.finish)];
  if (event.finish != FinishReason::kError) prefixes_.at_end(sequence);
  sequence.memory.reset();
  sequence.stream->push(std::move(event));
}

void Scheduler::drop_cancelled() {
  for (SequenceList* list : {&running_, &waiting_}) {
    list->remove_if([&](const std::unique_ptr<Sequence>& sequence) {
      if (!sequence->stream->cancelled()) return false;
      finish(*sequence, {.prompt = {}, .tokens = {}, .finish = FinishReason::kCancelled, .stop_id = -1, .error = {}});
      return true;
    });
  }
}

void Scheduler::end_all(SequenceList& list, const StreamEvent& event) {
  for (const auto& sequence : list) finish(*sequence, event);
  list.clear();
}

void Scheduler::fail_all(const std::string& message) {
  const StreamEvent event{.prompt = {}, .tokens = {}, .finish = FinishReason::kError, .stop_id = -1, .error = message};
  end_all(running_, event);
  end_all(waiting_, event);
}

void Scheduler::cancel_all() {
  const StreamEvent event{.prompt = {}, .tokens = {}, .finish = FinishReason::kCancelled, .stop_id = -1, .error = {}};
  end_all(running_, event);
  end_all(waiting_, event);
}

Scheduler::SequenceList::iterator Scheduler::victim() {
  auto found = running_.begin();
  for (auto it = running_.begin(); it != running_.end(); ++it) {
    if ((*it)->request.priority >= (*found)->request.priority) found = it;
  }
  return found;
}

void Scheduler::preempt(SequenceList::iterator victim) {
  // Recomputing from position 0 in whatever slot comes next: nothing of the old slot is kept.
  (*victim)->memory.reset();
  (*victim)->computed = 0;
  ++totals_.preemptions;
  waiting_.splice(waiting_.begin(), running_, victim);
}

bool Scheduler::make_room(Sequence& sequence, std::int64_t tokens) {
  while (!sequence.memory->grow_to(tokens)) {
    if (prefixes_.give_way()) continue;
    const auto found = victim();
    const bool itself = found->get() == &sequence;
    preempt(found);
    if (itself) return false;
  }
  return true;
}

std::int64_t Scheduler::plan_scores(const Sequence& s, std::int64_t rows, StepPlan& plan) const {
  if (s.request.sampling.prompt_logprobs < 0) return 0;
  std::int64_t count = 0;
  const std::int64_t first_row = static_cast<std::int64_t>(plan.ids.size()) - rows;
  const auto prompt = static_cast<std::int64_t>(s.request.prompt.size());
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t next = s.computed + i + 1;  // the row at `next - 1` predicts token `next`
    if (next >= prompt || next < s.prompt_reported) continue;
    plan.scores.push_back({.logit_index = static_cast<std::int64_t>(plan.logit_rows.size()),
                           .target = s.token(next), .top_count = s.request.sampling.prompt_logprobs});
    plan.logit_rows.push_back(first_row + i);
    ++count;
  }
  return count;
}

void Scheduler::plan_rows(Sequence& s, std::int64_t& budget, StepPlan& plan) {
  std::int64_t rows = std::min(budget, s.token_count() - s.computed);
  if (limits_.max_prefill_chunk > 0) rows = std::min(rows, limits_.max_prefill_chunk);
  rows = prefixes_.rows_until_mark(s, rows);
  if (s.request.sampling.prompt_logprobs >= 0) {  // every prompt row needs logits: as many as there are
    rows = std::min(rows, limits_.logit_rows - static_cast<std::int64_t>(plan.logit_rows.size()) - 1);
  }
  if (rows <= 0 || static_cast<std::int64_t>(plan.logit_rows.size()) >= limits_.logit_rows) return;
  const auto first_row = static_cast<std::int64_t>(plan.ids.size());
  for (std::int64_t i = 0; i < rows; ++i) plan.ids.push_back(s.token(s.computed + i));
  plan.segments.push_back({.first_row = first_row, .token_count = rows, .start = s.computed,
                           .slot = s.memory->slot().index, .slot_epoch = s.memory->slot().epoch,
                           .blocks = s.memory->blocks()});
  const std::int64_t scores = plan_scores(s, rows, plan);
  const bool samples = s.computed + rows == s.token_count() && s.request.max_tokens > 0;
  if (samples) {
    const bool early = static_cast<std::int64_t>(s.output.size()) < s.request.min_tokens;
    plan.samples.push_back({.logit_index = static_cast<std::int64_t>(plan.logit_rows.size()),
                            .params = &s.request.sampling, .seed = s.seed, .prompt = s.request.prompt,
                            .output = s.output,
                            .banned = early ? std::span<const std::int32_t>(s.request.stop_ids)
                                            : std::span<const std::int32_t>(),
                            .forced = s.request.thinking ? forced_token(*s.request.thinking, s.output) : -1});
    plan.logit_rows.push_back(first_row + rows - 1);
  }
  planned_.push_back({&s, rows, scores, samples});
  budget -= rows;
}

void Scheduler::admit(std::int64_t& budget, StepPlan& plan) {
  while (budget > 0 && !waiting_.empty() &&
         static_cast<std::int64_t>(running_.size()) < limits_.max_num_seqs) {
    Sequence& next = *waiting_.front();
    next.memory = prefixes_.take(next);
    if (!next.memory) return;  // strictly in order: nobody overtakes
    running_.splice(running_.end(), waiting_, waiting_.begin());
    plan_rows(next, budget, plan);
  }
}

StepPlan Scheduler::plan() {
  NVLLM_CHECK(planned_.empty());
  StepPlan plan;
  std::int64_t budget = limits_.max_num_batched_tokens;
  // Memory first, oldest first, and before anything is planned: whoever becomes a victim has no part in this step.
  std::vector<Sequence*> all;
  for (const auto& sequence : running_) all.push_back(sequence.get());
  for (Sequence* const sequence : all) {
    if (sequence->memory) static_cast<void>(make_room(*sequence, sequence->token_count()));
  }
  for (const auto& sequence : running_) {
    if (decoding(*sequence)) plan_rows(*sequence, budget, plan);
  }
  for (const auto& sequence : running_) {
    if (!decoding(*sequence)) plan_rows(*sequence, budget, plan);
  }
  admit(budget, plan);
  if (!plan.empty()) prefixes_.move_copies(plan);
  return plan;
}

void Scheduler::append_token(Sequence& s, ScoredToken token) {
  StreamEvent event;
  if (token.id < 0) {
    finish(s, {.prompt = {}, .tokens = {}, .finish = FinishReason::kError, .stop_id = -1,
               .error = "the model's logits are not finite"});
    return;
  }
  const std::int32_t id = token.id;
  s.output.push_back(id);
  ++totals_.generation_tokens;
  const auto count = static_cast<std::int64_t>(s.output.size());
  if (contains(s.request.stop_ids, id) && count > s.request.min_tokens) {
    event.finish = FinishReason::kStop;
    event.stop_id = id;
  } else if (count >= s.request.max_tokens) {
    event.finish = FinishReason::kLength;
  }
  event.tokens.push_back(std::move(token));
  if (count == 1) event.cached_tokens = s.prefix.cached_tokens;
  if (event.finish != FinishReason::kNone) return finish(s, std::move(event));
  s.stream->push(std::move(event));
}

void Scheduler::commit(StepResult result) {
  std::size_t next_sample = 0, next_score = 0;
  for (const Planned& p : planned_) {
    Sequence& s = *p.sequence;
    const auto prompt = static_cast<std::int64_t>(s.request.prompt.size());
    const std::int64_t before = s.computed;
    s.computed += p.rows;
    if (before < prompt) totals_.prompt_tokens += std::min(s.computed, prompt) - before;
    StreamEvent scored;
    if (s.request.sampling.prompt_logprobs >= 0 && s.prompt_reported == 0) {
      // Nothing comes before the first token: it is reported without a score, even if it is the only one.
      scored.prompt.push_back({.id = s.token(0), .logprob = std::nullopt, .top = {}});
      ++s.prompt_reported;
    }
    for (std::int64_t i = 0; i < p.score_count; ++i) scored.prompt.push_back(std::move(result.scores[next_score++]));
    s.prompt_reported += p.score_count;
    if (!scored.empty()) s.stream->push(std::move(scored));
    if (p.samples) {
      append_token(s, std::move(result.samples[next_sample++]));
    } else if (s.request.max_tokens == 0 && s.computed == s.token_count()) {
      finish(s, {.prompt = {}, .tokens = {}, .cached_tokens = s.prefix.cached_tokens, .finish = FinishReason::kLength, .stop_id = -1, .error = {}});
    }
    if (s.memory) prefixes_.after_step(s);
  }
  planned_.clear();
  running_.remove_if([](const std::unique_ptr<Sequence>& s) { return !s->memory.has_value(); });
  ++totals_.steps;
}

void Scheduler::report(EngineStats& stats) const {
  stats = totals_;
  stats.running = static_cast<std::int64_t>(running_.size());
  stats.waiting = static_cast<std::int64_t>(waiting_.size());
  prefixes_.report(stats);
}

}  // namespace nvllm::engine
