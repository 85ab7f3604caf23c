#include "kernels/cuda/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/hashing.h"
#include "support/device.h"

namespace nvllm::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class DrawOnDevice : public test::OnDevice {
 protected:
  /// What the device draws for tasks over rows of logits [rows, vocab].
  static std::vector<DrawnToken> draw(const std::vector<float>& logits, std::int64_t vocab,
                                      const std::vector<DrawTask>& tasks) {
    const auto rows = static_cast<std::int64_t>(logits.size()) / vocab,
               count = static_cast<std::int64_t>(tasks.size());
    DeviceBuffer there(static_cast<std::int64_t>(logits.size()) * 4);
    there.upload(logits.data(), there.bytes());
    const View<const float> view(there.as<float>(), rows, vocab);
    const GreedyWorkspace greedy(rows);
    const DrawWorkspace draws(count);
    std::ranges::copy(tasks, draws.tasks());
    Stream stream;
    greedy_choices(view, greedy, stream);
    draw_tokens(view, greedy.choices(), draws, 0, count, stream);
    stream.wait();
    return {draws.tokens(), draws.tokens() + count};
  }
};

/// Logits of about `spread` around zero; some of them equal where `ties`.
std::vector<float> random_logits(std::int64_t count, float spread, bool ties, std::uint64_t seed) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (std::uint64_t k = 0; k < 6; ++k)
      sum += random_uniform(seed, static_cast<std::uint64_t>(i) * 6 + k) - 0.5;
    const auto logit = static_cast<float>(sum) * spread;
    out.push_back(ties ? std::round(logit) : logit);
  }
  return out;
}

/// The ids that may be drawn and their weights, as Sampler defines them.
std::vector<double> kept_weights(std::span<const float> logits, const DrawTask& task) {
  std::vector<double> weights(logits.size(), 0);
  const float largest = *std::ranges::max_element(logits);
  const auto distance = [&](std::size_t id) { return (largest - logits[id]) * task.scale; };
  std::vector<std::size_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), std::size_t{0});
  std::erase_if(ids, [&](std::size_t id) {
    return distance(id) > task.farthest || distance(id) == kInfinity;
  });
  std::ranges::stable_sort(ids,
                           [&](std::size_t a, std::size_t b) { return distance(a) < distance(b); });
  if (task.top_k > 0 && static_cast<std::size_t>(task.top_k) < ids.size())
    ids.resize(static_cast<std::size_t>(task.top_k));
  double whole = 0, mass = 0;
  for (const std::size_t id : ids) whole += std::exp(-static_cast<double>(distance(id)));
  for (const std::size_t id : ids) {
    if (task.top_p < 1 && mass >= task.top_p * whole && mass > 0) break;
    weights[id] = std::exp(-static_cast<double>(distance(id)));
    mass += weights[id];
  }
  return weights;
}

/// Every token drawn, by tasks that differ in their number alone, is the one at which the running
/// sum passes the task's number, but for the weights' rounding.
void expect_right(std::span<const float> logits, const std::vector<DrawTask>& tasks,
                  const std::vector<DrawnToken>& tokens) {
  double exps = 0;
  const float largest = *std::ranges::max_element(logits);
  for (const float logit : logits) exps += std::exp(static_cast<double>(logit) - largest);
  const std::vector<double> weights = kept_weights(logits, tasks.front());
  const double whole = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const double target = tasks[i].uniform * whole;
    ASSERT_TRUE(tokens[i].id >= 0 && static_cast<std::size_t>(tokens[i].id) < logits.size()) << i;
    const auto id = static_cast<std::size_t>(tokens[i].id);
    // Weights of less than 2^-40 are zeros on the device, and its exp has a relative error of some
    // 2^-20.
    const double rounding = whole * 2e-6 + static_cast<double>(logits.size()) * std::exp2(-40);
    const double before = std::accumulate(weights.begin(), weights.begin() + tokens[i].id, 0.0);
    EXPECT_GT(weights[id], 0) << "task " << i;
    EXPECT_LE(before, target + rounding) << "task " << i;
    EXPECT_GE(before + weights[id], target - rounding) << "task " << i;
    EXPECT_NEAR(tokens[i].logprob, static_cast<double>(logits[id]) - largest - std::log(exps),
                1e-4);
  }
}

std::vector<DrawTask> tasks_of(DrawTask like, std::int64_t count, std::uint64_t seed) {
  std::vector<DrawTask> out;
  for (std::int64_t i = 0; i < count; ++i) {
    like.uniform = random_uniform(seed, static_cast<std::uint64_t>(i));
    out.push_back(like);
  }
  out.front().uniform = 0;
  out.back().uniform = 1 - 0x1p-53;
  return out;
}

TEST_F(DrawOnDevice, FollowsTheRunningSumOfWhatIsKept) {
  const std::vector<DrawTask> kinds = {
      {},
      {.scale = 0.5f},
      {.scale = 1 / 0.3f},
      {.top_k = 1},
      {.top_k = 20},
      {.top_k = 3000},
      {.top_p = 0},
      {.top_p = 0.5},
      {.top_p = 0.95},
      {.top_p = 0.999},
      {.farthest = 0},
      {.farthest = 2.3f},
      {.top_k = 40, .scale = 1.4f, .farthest = 4.6f, .top_p = 0.9}};
  for (const std::int64_t vocab : {1, 31, 997, 5000, 151936, 248320}) {
    for (const bool ties : {false, true}) {
      const std::vector<float> logits =
          random_logits(vocab, 6, ties, static_cast<std::uint64_t>(vocab));
      for (const DrawTask& kind : kinds) {
        const auto tasks = tasks_of(kind, 12, 17);
        SCOPED_TRACE(::testing::Message()
                     << vocab << " logits, ties " << ties << ", top_k " << kind.top_k << ", top_p "
                     << kind.top_p << ", scale " << kind.scale << ", farthest " << kind.farthest);
        expect_right(logits, tasks, draw(logits, vocab, tasks));
      }
    }
  }
}

TEST_F(DrawOnDevice, TakesEqualLogitsInOrderOfId) {
  std::vector<float> logits(5000, 1.5f);
  logits[7] = -kInfinity;
  const auto tasks = tasks_of({.top_k = 10}, 400, 3);
  std::vector<int> seen(logits.size());
  for (const DrawnToken& token : draw(logits, 5000, tasks))
    ++seen[static_cast<std::size_t>(token.id)];
  for (std::size_t id = 0; id < seen.size(); ++id)
    EXPECT_EQ(seen[id] > 0, id < 11 && id != 7) << id;
}

TEST_F(DrawOnDevice, DependsOnItsRowAndTaskAlone) {
  const std::int64_t vocab = 4096;
  const std::vector<float> logits = random_logits(3 * vocab, 5, false, 5);
  std::vector<DrawTask> tasks;
  for (std::int32_t row : {2, 0, 1, 2})
    tasks.push_back({.row = row, .top_p = 0.9, .uniform = 0.37});
  const auto all = draw(logits, vocab, tasks);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::vector<float> alone(logits.begin() + tasks[i].row * vocab,
                                   logits.begin() + (tasks[i].row + 1) * vocab);
    DrawTask task = tasks[i];
    task.row = 0;
    EXPECT_EQ(draw(alone, vocab, {task})[0].id, all[i].id);
    EXPECT_EQ(draw(alone, vocab, {task})[0].logprob, all[i].logprob);
  }
}

TEST_F(DrawOnDevice, RefusesRowsThatAreNotFinite) {
  std::vector<float> logits = random_logits(1000, 5, false, 9);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    logits[321] = bad;
    EXPECT_EQ(draw(logits, 1000, {{}})[0].id, -1);
  }
  EXPECT_EQ(draw(std::vector<float>(1000, -kInfinity), 1000, {{}})[0].id, -1);
}

}  // namespace
}  // namespace nvllm::cuda
