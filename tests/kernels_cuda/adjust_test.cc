#include "kernels/cuda/adjust.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/hashing.h"
#include "kernels/cuda/draw.h"
#include "kernels/cuda/greedy.h"
#include "support/device.h"

namespace nvllm::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// A row to adjust, with its edits.
struct Job {
  AdjustTask task;  ///< but for where its edits lie
  std::vector<LogitEdit> edits;
};

/// What Sampler's adjust() makes of a row.
std::vector<float> adjusted_on_host(std::vector<float> row, const Job& job) {
  for (const LogitEdit& edit : job.edits) {
    float& logit = row[static_cast<std::size_t>(edit.id)];
    if ((edit.what & LogitEdit::kBiased) != 0) logit += edit.bias;
    if ((edit.what & LogitEdit::kBanned) != 0) logit = -kInfinity;
    if ((edit.what & LogitEdit::kPenalised) == 0) continue;
    logit = logit > 0 ? logit / job.task.repetition : logit * job.task.repetition;
    if (edit.count > 0) {
      logit -= job.task.frequency * static_cast<float>(edit.count) + job.task.presence;
    }
  }
  return row;
}

std::vector<float> random_logits(std::int64_t count, std::uint64_t seed) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; ++i) {
    out.push_back(
        static_cast<float>(30 * (random_uniform(seed, static_cast<std::uint64_t>(i)) - 0.5)));
  }
  return out;
}

std::uint64_t below(std::uint64_t bits, std::uint64_t end) { return bits % end; }

/// `count` edits of ids spread over the vocabulary, in no order, with every mix of their parts.
Job random_job(std::int64_t vocab, std::int64_t count, std::uint64_t seed) {
  Job job{.task = {.repetition = 1.3f, .frequency = 0.37f, .presence = -0.81f}, .edits = {}};
  // An odd stride meets every id once, where the vocabulary is no multiple of it.
  const std::int64_t stride = vocab % 7 != 0 ? 7 : 11;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t bits = random_bits(seed, static_cast<std::uint64_t>(i));
    job.edits.push_back({.id = static_cast<std::int32_t>((i * stride + 5) % vocab),
                         .what = static_cast<std::int32_t>(below(bits, 8)),
                         .bias = static_cast<float>(below(bits >> 8, 2001)) / 10.0f - 100.0f,
                         .count = static_cast<std::int32_t>(below(bits >> 32, 5))});
  }
  return job;
}

class AdjustOnDevice : public test::OnDevice {
 protected:
  /// One group of tasks over rows of logits [rows, vocab].
  struct Rows {
    std::vector<std::vector<float>> adjusted;
    std::vector<float> logits;  ///< as they are afterwards
    std::vector<GreedyChoice> choices;
  };

  static AdjustGroup place(AdjustWorkspace& workspace, const std::vector<Job>& jobs) {
    AdjustGroup group;
    for (const Job& job : jobs) group.edit_count += static_cast<std::int64_t>(job.edits.size());
    workspace.reserve_edits(group.edit_count + 1);
    std::int64_t at = 0;
    for (const Job& job : jobs) {
      AdjustTask& task = workspace.tasks()[group.task_count++];
      task = job.task;
      task.first_edit = static_cast<std::int32_t>(at);
      task.edit_count = static_cast<std::int32_t>(job.edits.size());
      std::ranges::copy(job.edits, workspace.edits() + at);
      at += task.edit_count;
    }
    // Nobody asked for this one.
    workspace.edits()[at] = {.id = 0, .what = LogitEdit::kBiased, .bias = kNan, .count = 0};
    return group;
  }

  static Rows run(const std::vector<float>& logits, std::int64_t vocab,
                  const std::vector<Job>& jobs) {
    DeviceBuffer there(static_cast<std::int64_t>(logits.size()) * 4);
    there.upload(logits.data(), there.bytes());
    const View<const float> view(there.as<float>(), there.bytes() / 4 / vocab, vocab);
    AdjustWorkspace workspace(kAdjustRows, vocab);
    const GreedyWorkspace greedy(kAdjustRows);
    Stream stream;
    const AdjustGroup group = place(workspace, jobs);
    const View<const float> first = adjust_logits(view, workspace, group, stream);
    fill_device(const_cast<float*>(first.data), 0xff, first.rows * vocab * 4, stream);
    const View<const float> adjusted = adjust_logits(view, workspace, group, stream);
    greedy_choices(adjusted, greedy, stream);
    stream.wait();
    Rows out{.adjusted = {}, .logits = std::vector<float>(logits.size()), .choices = {}};
    for (std::int64_t row = 0; row < adjusted.rows; ++row) {
      out.adjusted.emplace_back(static_cast<std::size_t>(vocab));
      test::download(out.adjusted.back().data(), adjusted.row(row), vocab * 4);
    }
    out.choices.resize(jobs.size());
    test::download(out.choices.data(), greedy.choices(),
                   static_cast<std::int64_t>(jobs.size() * sizeof(GreedyChoice)));
    there.download(out.logits.data(), there.bytes());
    return out;
  }

  static std::vector<float> row_of(const std::vector<float>& logits, std::int64_t vocab,
                                   const Job& job) {
    return {logits.begin() + job.task.row * vocab, logits.begin() + (job.task.row + 1) * vocab};
  }

  static void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t id = 0; id < a.size(); ++id) {
      const bool both_nan = std::isnan(a[id]) && std::isnan(b[id]);
      ASSERT_TRUE(both_nan ||
                  std::bit_cast<std::uint32_t>(a[id]) == std::bit_cast<std::uint32_t>(b[id]))
          << "id " << id << ": " << a[id] << " and " << b[id];
    }
  }
};

TEST_F(AdjustOnDevice, HasTheBitsOfTheHostsArithmetic) {
  for (const std::int64_t vocab : {1, 2, 31, 1000, 4096, 248320}) {
    const std::vector<float> logits = random_logits(3 * vocab, static_cast<std::uint64_t>(vocab));
    std::vector<Job> jobs;
    std::uint64_t seed = 1;
    std::int64_t left = vocab;  // of the room for edits
    for (const std::int64_t wanted :
         {vocab / 2, std::int64_t{0}, std::int64_t{1}, std::int64_t{300}}) {
      jobs.push_back(random_job(vocab, std::min(left, wanted), seed));
      jobs.back().task.row = static_cast<std::int32_t>(seed++ % 3);
      left -= static_cast<std::int64_t>(jobs.back().edits.size());
    }
    jobs.back().task.repetition = 0.77f;
    const Rows rows = run(logits, vocab, jobs);
    expect_same_bits(rows.logits, logits);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      SCOPED_TRACE(testing::Message() << vocab << " logits, task " << i);
      const std::vector<float> expected = adjusted_on_host(row_of(logits, vocab, jobs[i]), jobs[i]);
      expect_same_bits(rows.adjusted[i], expected);
      const auto largest = std::ranges::max_element(expected);
      if (*largest > -kInfinity) {
        EXPECT_EQ(rows.choices[i].id, largest - expected.begin());
      }
    }
  }
}

TEST_F(AdjustOnDevice, TakesAsManyEditsAsThereAreTokensAndEightRows) {
  const std::int64_t vocab = 1000;
  const std::vector<float> logits = random_logits(vocab, 3);
  const std::vector<Job> all = {random_job(vocab, vocab, 9)};
  expect_same_bits(run(logits, vocab, all).adjusted[0], adjusted_on_host(logits, all[0]));
  std::vector<Job> eight;
  for (std::uint64_t i = 0; i < kAdjustRows; ++i) eight.push_back(random_job(vocab, 100, i));
  const Rows rows = run(logits, vocab, eight);
  for (std::size_t i = 0; i < eight.size(); ++i)
    expect_same_bits(rows.adjusted[i], adjusted_on_host(logits, eight[i]));
}

TEST_F(AdjustOnDevice, ChoicesFollowTheAdjustedLogits) {
  const std::int64_t vocab = 1000;
  std::vector<float> logits = random_logits(vocab, 5);
  logits[17] = logits[600] = 40.0f;  // the lower id of two
  const auto choice = [&](std::vector<LogitEdit> edits, AdjustTask task = {}) {
    return run(logits, vocab, {{.task = task, .edits = std::move(edits)}}).choices[0].id;
  };
  const std::int32_t banned = LogitEdit::kBanned, biased = LogitEdit::kBiased,
                     penalised = LogitEdit::kPenalised;
  EXPECT_EQ(choice({}), 17);
  EXPECT_EQ(choice({{.id = 17, .what = banned}}), 600);
  EXPECT_EQ(choice({{.id = 999, .what = biased, .bias = 90}}), 999);
  EXPECT_EQ(choice({{.id = 999, .what = biased | banned, .bias = 90}}), 17);
  EXPECT_EQ(choice({{.id = 17, .what = penalised}}, {.repetition = 1.5f}), 600);
  EXPECT_EQ(choice({{.id = 17, .what = penalised}}, {.presence = 1}), 17)
      << "the output does not have it";
  EXPECT_EQ(choice({{.id = 17, .what = penalised, .count = 1}}, {.presence = 1}), 600);
  EXPECT_EQ(choice({{.id = 17, .what = penalised, .count = 1},
                    {.id = 600, .what = penalised, .count = 2}},
                   {.frequency = 1}),
            17);
  std::vector<LogitEdit> everything;
  for (std::int32_t id = 0; id < vocab; ++id) everything.push_back({.id = id, .what = banned});
  EXPECT_EQ(choice(everything), -1);
  logits[321] = kNan;
  EXPECT_EQ(choice({{.id = 17, .what = banned}}), -1);
  EXPECT_EQ(choice({{.id = 321, .what = banned}}), 17)
      << "as on the host: an impossible token may be anything";
  logits[321] = kInfinity;
  EXPECT_EQ(choice({}), -1);
  EXPECT_EQ(choice({{.id = 321, .what = banned}}), 17);
}

TEST_F(AdjustOnDevice, DrawsAreFromTheAdjustedRow) {
  const std::int64_t vocab = 4096;
  const std::vector<float> logits = random_logits(2 * vocab, 8);
  DeviceBuffer there(static_cast<std::int64_t>(logits.size()) * 4);
  there.upload(logits.data(), there.bytes());
  const View<const float> view(there.as<float>(), 2, vocab);
  AdjustWorkspace workspace(kAdjustRows, vocab);
  const GreedyWorkspace greedy(kAdjustRows);
  const DrawWorkspace draws(40);
  // One row leaves no tokens but two, equally likely; the other no token but one.
  std::vector<Job> jobs(2);
  jobs[0].task.row = 1;
  jobs[0].edits = {{.id = 3000,
                    .what = LogitEdit::kBiased,
                    .bias = 200 - logits[static_cast<std::size_t>(vocab) + 3000]},
                   {.id = 7,
                    .what = LogitEdit::kBiased,
                    .bias = 200 - logits[static_cast<std::size_t>(vocab) + 7]}};
  jobs[1].edits = {{.id = 11, .what = LogitEdit::kBiased, .bias = 200}};
  Stream stream;
  const View<const float> adjusted = adjust_logits(view, workspace, place(workspace, jobs), stream);
  greedy_choices(adjusted, greedy, stream);
  // From the tenth task on: those before it are somebody else's.
  for (std::int32_t i = 10; i < 40; ++i)
    draws.tasks()[i] = {.row = i % 2, .uniform = random_uniform(2, static_cast<std::uint64_t>(i))};
  draw_tokens(adjusted, greedy.choices(), draws, 10, 30, stream);
  stream.wait();
  int lower = 0, higher = 0;
  for (int i = 10; i < 40; ++i) {
    const std::int32_t id = draws.tokens()[i].id;
    if (i % 2 == 1) {
      EXPECT_EQ(id, 11);
      continue;
    }
    lower += id == 7 ? 1 : 0;
    higher += id == 3000 ? 1 : 0;
  }
  EXPECT_EQ(lower + higher, 15);
  EXPECT_GT(lower, 0);
  EXPECT_GT(higher, 0);
}

TEST_F(AdjustOnDevice, RoomForEditsAtLeastDoubles) {
  AdjustWorkspace workspace(1, 100);
  const std::int64_t before = workspace.edits_reserved();
  workspace.reserve_edits(before);
  EXPECT_EQ(workspace.edits_reserved(), before);
  workspace.reserve_edits(before + 1);
  EXPECT_EQ(workspace.edits_reserved(), 2 * before);
  workspace.reserve_edits(5 * before);
  EXPECT_EQ(workspace.edits_reserved(), 5 * before);
  EXPECT_EQ(workspace.edits_at_once(), 100);
}

}  // namespace
}  // namespace nvllm::cuda
