#include "engine/device_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/hashing.h"

namespace nvllm::engine {

namespace {

/// The same draw as Sampler's, from the same number.
cuda::DrawTask draw_task(const SampleTask& task, std::int64_t row) {
  const SamplingParams& p = *task.params;
  return {.row = static_cast<std::int32_t>(row),
          .top_k = static_cast<std::int32_t>(
              std::min<std::int64_t>(p.top_k, std::numeric_limits<std::int32_t>::max())),
          .scale = static_cast<float>(1 / p.temperature),
          .farthest = p.min_p > 0 ? static_cast<float>(std::abs(std::log(p.min_p)))
                                  : std::numeric_limits<float>::infinity(),
          .top_p = p.top_p,
          .uniform = random_uniform(task.seed, task.output.size())};
}

bool draws(const SampleTask& task) { return task.params->temperature > 0; }

}  // namespace

DeviceSampler::DeviceSampler(std::int64_t tasks_max, std::int64_t vocab_size,
                             const cuda::GreedyChoice* choices)
    : vocab_size_(vocab_size),
      choices_(choices),
      lister_(vocab_size),
      adjust_(tasks_max, vocab_size),
      greedy_(cuda::kAdjustRows),
      draws_(tasks_max),
      reports_(tasks_max) {
  sources_.reserve(static_cast<std::size_t>(tasks_max));
  groups_.reserve(static_cast<std::size_t>(tasks_max));
}

void DeviceSampler::prepare(std::span<const SampleTask> tasks) {
  sources_.assign(tasks.size(), {});
  groups_.clear();
  draw_count_ = report_count_ = 0;
  const auto for_each = [&](bool adjusted, const auto& use) {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (tasks[i].params->top_logprobs <= cuda::kAlternativesMax && tasks[i].forced < 0 &&
          (lister_.most(tasks[i]) > 0) == adjusted)
        use(i);
    }
  };
  for_each(false, [&](std::size_t i) { sources_[i] = prepare_plain(tasks[i]); });
  plain_draws_ = draw_count_;
  plain_reports_ = report_count_;
  std::int64_t edits_most = 0;
  for_each(true, [&](std::size_t i) { edits_most += lister_.most(tasks[i]); });
  adjust_.reserve_edits(edits_most);
  for_each(true, [&](std::size_t i) { sources_[i] = prepare_adjusted(tasks[i]); });
}

const std::int32_t* DeviceSampler::choose(const SampleTask& task, const cuda::GreedyChoice* choices,
                                          std::int64_t row) {
  if (!draws(task)) return &choices[row].id;
  draws_.tasks()[draw_count_] = draw_task(task, row);
  return &draws_.tokens_on_device()[draw_count_++].id;
}

DeviceSampler::Source DeviceSampler::add_report(const SampleTask& task, const std::int32_t* id) {
  reports_.tasks()[report_count_] = {
      .id = id,
      .row = static_cast<std::int32_t>(task.logit_index),
      .top_count = static_cast<std::int32_t>(std::max<std::int64_t>(task.params->top_logprobs, 0))};
  return {.kind = Source::Kind::kReport, .index = report_count_++};
}

DeviceSampler::Source DeviceSampler::prepare_plain(const SampleTask& task) {
  const std::int64_t drawn = draw_count_;
  const std::int32_t* id = choose(task, choices_, task.logit_index);
  if (task.params->top_logprobs > 0) return add_report(task, id);
  return draws(task) ? Source{.kind = Source::Kind::kDraw, .index = drawn}
                     : Source{.kind = Source::Kind::kChoice, .index = task.logit_index};
}

DeviceSampler::Source DeviceSampler::prepare_adjusted(const SampleTask& task) {
  const cuda::AdjustGroup last = groups_.empty() ? cuda::AdjustGroup{} : groups_.back().adjust;
  const std::int64_t first_edit = last.first_edit + last.edit_count;
  const std::optional<std::int64_t> edits = lister_.list(task, adjust_.edits() + first_edit);
  if (!edits) return {};
  if (groups_.empty() || last.task_count == cuda::kAdjustRows ||
      last.edit_count + *edits > adjust_.edits_at_once()) {
    groups_.push_back({.adjust = {.first_task = last.first_task + last.task_count,
                                  .task_count = 0,
                                  .first_edit = first_edit,
                                  .edit_count = 0},
                       .first_draw = draw_count_,
                       .draw_count = 0,
                       .first_report = report_count_});
  }
  Group& group = groups_.back();
  const SamplingParams& p = *task.params;
  const std::int64_t row = group.adjust.task_count++;
  adjust_.tasks()[group.adjust.first_task + row] = {
      .row = static_cast<std::int32_t>(task.logit_index),
      .first_edit = static_cast<std::int32_t>(group.adjust.edit_count),
      .edit_count = static_cast<std::int32_t>(*edits),
      .repetition = static_cast<float>(p.repetition_penalty),
      .frequency = static_cast<float>(p.frequency_penalty),
      .presence = static_cast<float>(p.presence_penalty)};
  group.adjust.edit_count += *edits;
  const std::int32_t* id = choose(task, greedy_.choices(), row);
  group.draw_count = draw_count_ - group.first_draw;
  // Its log-probability is that of the row as it is, so all of them have a report.
  return add_report(task, id);
}

void DeviceSampler::launch(CudaOps& ops, View<const float> logits) const {
  launch_draws(ops, logits, choices_, 0, plain_draws_);
  launch_reports(ops, logits, 0, plain_reports_);
  for (const Group& group : groups_) {
    ops.announce("adjust_logits", group.adjust.task_count, logits.cols);
    const View<const float> adjusted =
        cuda::adjust_logits(logits, adjust_, group.adjust, ops.stream());
    ops.announce("greedy_choice", adjusted.rows, adjusted.cols);
    cuda::greedy_choices(adjusted, greedy_, ops.stream());
    launch_draws(ops, adjusted, greedy_.choices(), group.first_draw, group.draw_count);
    launch_reports(ops, logits, group.first_report, group.adjust.task_count);
  }
}

void DeviceSampler::launch_draws(CudaOps& ops, View<const float> logits,
                                 const cuda::GreedyChoice* choices, std::int64_t first,
                                 std::int64_t count) const {
  if (count > 0) ops.announce("draw_tokens", count, logits.cols);
  cuda::draw_tokens(logits, choices, draws_, first, count, ops.stream());
}

void DeviceSampler::launch_reports(CudaOps& ops, View<const float> logits, std::int64_t first,
                                   std::int64_t count) const {
  if (count > 0) ops.announce("report_tokens", count, logits.cols);
  cuda::report_tokens(logits, choices_, reports_, first, count, ops.stream());
}

ScoredToken DeviceSampler::reported(const cuda::TokenReport& report, const SampleTask& task) const {
  ScoredToken out{.id = report.id, .logprob = {}, .top = {}};
  if (report.id < 0 || task.params->top_logprobs < 0) return out;
  out.logprob = report.logprob;
  for (std::int64_t i = 0; i < std::min(task.params->top_logprobs, vocab_size_); ++i)
    out.top.push_back({report.top[i].id, report.top[i].logprob});
  return out;
}

std::optional<ScoredToken> DeviceSampler::token(std::size_t index, const SampleTask& task,
                                                const cuda::GreedyChoice* choices) const {
  const Source& source = sources_[index];
  cuda::DrawnToken chosen;
  switch (source.kind) {
    case Source::Kind::kHost:
      return std::nullopt;
    case Source::Kind::kReport:
      return reported(reports_.reports()[source.index], task);
    case Source::Kind::kDraw:
      chosen = draws_.tokens()[source.index];
      break;
    case Source::Kind::kChoice:
      chosen = {.id = choices[source.index].id, .logprob = choices[source.index].logprob};
      break;
  }
  ScoredToken out{.id = chosen.id, .logprob = {}, .top = {}};
  if (chosen.id >= 0 && task.params->top_logprobs == 0) out.logprob = chosen.logprob;
  return out;
}

}  // namespace nvllm::engine
