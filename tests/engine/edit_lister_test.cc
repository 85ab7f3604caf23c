#include "engine/edit_lister.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

namespace nvllm::engine {
namespace {

using cuda::LogitEdit;
using Ids = std::vector<std::int32_t>;

/// An edit by its values.
using Line = std::tuple<std::int32_t, std::int32_t, float, std::int32_t>;

struct Asked {
  SamplingParams params;
  Ids prompt, output, banned;

  SampleTask task() const {
    return {.logit_index = 0,
            .params = &params,
            .seed = 1,
            .prompt = prompt,
            .output = output,
            .banned = banned};
  }
};

/// Sorted by id; nothing if there is no list.
std::optional<std::vector<Line>> listed(EditLister& lister, const Asked& asked) {
  const SampleTask task = asked.task();
  std::vector<LogitEdit> edits(static_cast<std::size_t>(lister.most(task)));
  const std::optional<std::int64_t> count = lister.list(task, edits.data());
  if (!count) return std::nullopt;
  EXPECT_LE(*count, lister.most(task));
  std::vector<Line> out;
  for (std::int64_t i = 0; i < *count; ++i) {
    const LogitEdit& e = edits[static_cast<std::size_t>(i)];
    out.emplace_back(e.id, e.what, e.bias, e.count);
  }
  std::ranges::sort(out);
  return out;
}

TEST(EditLister, HasOneEditForEachTokenWithAllThatHappensToIt) {
  EditLister lister(20);
  Asked asked{.params = {}, .prompt = {3, 5, 5}, .output = {7, 5, 7, 7}, .banned = {7, 9, 9}};
  asked.params.logit_bias = {{5, 1.5f}, {0, -2.0f}, {9, 4.0f}};
  asked.params.repetition_penalty = 1.2;
  const std::vector<Line> expected = {{0, LogitEdit::kBiased, -2.0f, 0},
                                      {3, LogitEdit::kPenalised, 0.0f, 0},
                                      {5, LogitEdit::kBiased | LogitEdit::kPenalised, 1.5f, 1},
                                      {7, LogitEdit::kBanned | LogitEdit::kPenalised, 0.0f, 3},
                                      {9, LogitEdit::kBiased | LogitEdit::kBanned, 4.0f, 0}};
  EXPECT_EQ(listed(lister, asked), expected);
  EXPECT_EQ(listed(lister, asked), expected) << "nothing is left of the last call";
}

TEST(EditLister, LeavesThePromptOutWhereItsTokensStayAsTheyAre) {
  EditLister lister(20);
  Asked asked{.params = {}, .prompt = {3, 5}, .output = {7}, .banned = {}};
  asked.params.presence_penalty = 0.5;
  EXPECT_EQ(listed(lister, asked), (std::vector<Line>{{7, LogitEdit::kPenalised, 0.0f, 1}}));
  asked.output.clear();
  EXPECT_EQ(lister.most(asked.task()), 0) << "the first token has nothing to avoid";
}

TEST(EditLister, HasNothingToDoWithoutBiasBanOrPenalty) {
  const EditLister lister(20);
  EXPECT_EQ(lister.most(Asked{.params = {}, .prompt = {3, 5}, .output = {7}, .banned = {}}.task()),
            0);
}

TEST(EditLister, NeedsNoMoreRoomThanThereAreTokens) {
  EditLister lister(4);
  Asked asked{.params = {}, .prompt = Ids(100, 2), .output = {0, 1, 2, 3}, .banned = {1}};
  asked.params.repetition_penalty = 2;
  EXPECT_EQ(lister.most(asked.task()), 4);
  EXPECT_EQ(listed(lister, asked)->size(), 4u);
}

TEST(EditLister, RefusesTwoBiasesOfOneToken) {
  EditLister lister(20);
  Asked asked{.params = {}, .prompt = {}, .output = {}, .banned = {}};
  asked.params.logit_bias = {{5, 1.5f}, {6, 0.0f}, {5, 0.25f}};
  EXPECT_EQ(listed(lister, asked), std::nullopt);
  asked.params.logit_bias.pop_back();
  EXPECT_EQ(listed(lister, asked), (std::vector<Line>{{5, LogitEdit::kBiased, 1.5f, 0},
                                                      {6, LogitEdit::kBiased, 0.0f, 0}}));
}

}  // namespace
}  // namespace nvllm::engine
