#include "engine/edit_lister.h"

#include <algorithm>

namespace nvllm::engine {

namespace {

using cuda::LogitEdit;

/// Whether tokens of the prompt are penalised: Sampler divides or multiplies by this number, as a
/// float.
bool penalises_prompt(const SamplingParams& p) {
  return static_cast<float>(p.repetition_penalty) != 1.0f;
}

bool penalises_output(const SamplingParams& p) {
  return penalises_prompt(p) || p.frequency_penalty != 0.0 || p.presence_penalty != 0.0;
}

}  // namespace

EditLister::EditLister(std::int64_t vocab_size)
    : places_(static_cast<std::size_t>(vocab_size), -1) {}

std::int64_t EditLister::most(const SampleTask& task) const {
  const SamplingParams& p = *task.params;
  std::size_t count = p.logit_bias.size() + task.banned.size();
  if (penalises_prompt(p)) count += task.prompt.size();
  if (penalises_output(p)) count += task.output.size();
  return static_cast<std::int64_t>(std::min(count, places_.size()));
}

std::optional<std::int64_t> EditLister::list(const SampleTask& task, LogitEdit* out) {
  const SamplingParams& p = *task.params;
  std::int32_t count = 0;
  const auto edit = [&](std::int32_t id) -> LogitEdit& {
    std::int32_t& place = places_[static_cast<std::size_t>(id)];
    if (place < 0) {
      place = count;
      out[count++] = {.id = id};
    }
    return out[place];
  };
  bool twice = false;
  for (const auto& [id, bias] : p.logit_bias) {
    LogitEdit& e = edit(id);
    twice = twice || e.what != 0;
    e.what = LogitEdit::kBiased;
    e.bias = bias;
  }
  for (const std::int32_t id : task.banned) edit(id).what |= LogitEdit::kBanned;
  if (penalises_prompt(p)) {
    for (const std::int32_t id : task.prompt) edit(id).what |= LogitEdit::kPenalised;
  }
  if (penalises_output(p)) {
    for (const std::int32_t id : task.output) {
      LogitEdit& e = edit(id);
      e.what |= LogitEdit::kPenalised;
      ++e.count;
    }
  }
  for (std::int32_t i = 0; i < count; ++i) places_[static_cast<std::size_t>(out[i].id)] = -1;
  if (twice) return std::nullopt;
  return count;
}

}  // namespace nvllm::engine
