#include "kernels/cuda/report.h"

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

/// What is asked of one row.
struct Question {
  std::int32_t row, id, top_count;
};

class ReportOnDevice : public test::OnDevice {
 protected:
  /// What the device tells of rows of logits [rows, vocab], into reports full of other bytes.
  static std::vector<TokenReport> report(const std::vector<float>& logits, std::int64_t vocab,
                                         const std::vector<Question>& questions) {
    const auto rows = static_cast<std::int64_t>(logits.size()) / vocab,
               count = static_cast<std::int64_t>(questions.size());
    DeviceBuffer there(static_cast<std::int64_t>(logits.size()) * 4), ids(count * 4);
    there.upload(logits.data(), there.bytes());
    const View<const float> view(there.as<float>(), rows, vocab);
    const GreedyWorkspace greedy(rows);
    // Two tasks of somebody else are before these.
    const ReportWorkspace reports(count + 2);
    std::vector<std::int32_t> chosen;
    for (const Question& question : questions) {
      reports.tasks()[2 + chosen.size()] = {.id = ids.as<std::int32_t>() + chosen.size(),
                                            .row = question.row,
                                            .top_count = question.top_count};
      chosen.push_back(question.id);
    }
    ids.upload(chosen.data(), ids.bytes());
    Stream stream;
    greedy_choices(view, greedy, stream);
    report_tokens(view, greedy.choices(), reports, 2, count, stream);
    stream.wait();
    return {reports.reports() + 2, reports.reports() + 2 + count};
  }
};

std::vector<float> random_logits(std::int64_t count, bool ties, std::uint64_t seed) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto logit =
        static_cast<float>(24 * (random_uniform(seed, static_cast<std::uint64_t>(i)) - 0.5));
    out.push_back(ties ? std::round(logit) : logit);  // zeros of both signs among them
  }
  return out;
}

/// Ids as Sampler orders alternatives.
std::vector<std::int32_t> likeliest(std::span<const float> row, std::int64_t count) {
  std::vector<std::int32_t> ids(row.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [&](std::int32_t id) { return row[static_cast<std::size_t>(id)]; };
  std::ranges::stable_sort(ids,
                           [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
  ids.resize(std::min(ids.size(), static_cast<std::size_t>(count)));
  return ids;
}

void expect_right(std::span<const float> row, const Question& question, const TokenReport& told) {
  const float largest = *std::ranges::max_element(row);
  double sum = 0;
  for (const float logit : row) sum += std::exp(static_cast<double>(logit) - largest);
  const auto logprob = [&](std::int32_t id) {
    return static_cast<double>(row[static_cast<std::size_t>(id)]) - largest - std::log(sum);
  };
  const auto expect_near = [&](float value, std::int32_t id) {
    // Equal where minus infinity; otherwise the tolerance of drawn tokens.
    if (static_cast<double>(value) == logprob(id)) return;
    EXPECT_NEAR(value, logprob(id), 1e-4) << id;
  };
  EXPECT_EQ(told.id, question.id);
  expect_near(told.logprob, question.id);
  const std::vector<std::int32_t> ids = likeliest(row, question.top_count);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(told.top[i].id, ids[i]) << "alternative " << i;
    expect_near(told.top[i].logprob, ids[i]);
  }
}

TEST_F(ReportOnDevice, TellsTheLikeliestTokensInOrderWithTheirLogProbabilities) {
  for (const std::int64_t vocab : {1, 3, 31, 1000, 1024, 4097, 151936, 248320}) {
    for (const bool ties : {false, true}) {
      const std::vector<float> logits =
          random_logits(2 * vocab, ties, static_cast<std::uint64_t>(vocab));
      std::vector<Question> questions;
      for (const std::int32_t top_count : {0, 1, 5, 20, 32}) {
        questions.push_back({.row = top_count % 2,
                             .id = static_cast<std::int32_t>(vocab / 2),
                             .top_count = top_count});
      }
      const std::vector<TokenReport> told = report(logits, vocab, questions);
      for (std::size_t i = 0; i < questions.size(); ++i) {
        SCOPED_TRACE(testing::Message() << vocab << " logits, ties " << ties << ", "
                                        << questions[i].top_count << " alternatives");
        const auto begin = logits.begin() + questions[i].row * vocab;
        expect_right({begin, begin + vocab}, questions[i], told[i]);
      }
    }
  }
}

TEST_F(ReportOnDevice, FindsThemWhereverTheyLie) {
  const std::int64_t vocab = 248320;
  const Question all{.row = 0, .id = 3, .top_count = 32};
  std::vector<float> ascending, descending, one_thread(static_cast<std::size_t>(vocab), -5.0f),
      equal(static_cast<std::size_t>(vocab), 1.5f);
  for (std::int64_t i = 0; i < vocab; ++i) {
    ascending.push_back(static_cast<float>(i) * 1e-4f);
    descending.push_back(static_cast<float>(-i) * 1e-4f);
  }
  for (std::size_t i = 37; i < one_thread.size(); i += 1024)
    one_thread[i] = static_cast<float>(i) * 1e-5f;
  equal[3] = -kInfinity;
  equal[4] = 2.0f;
  for (const std::vector<float>& logits : {ascending, descending, one_thread, equal})
    expect_right(logits, all, report(logits, vocab, {all})[0]);
}

TEST_F(ReportOnDevice, MinusInfinityComesLast) {
  std::vector<float> logits(1000, -kInfinity);
  logits[500] = 1;
  logits[400] = -2;
  const Question five{.row = 0, .id = 400, .top_count = 5};
  const TokenReport told = report(logits, 1000, {five})[0];
  expect_right(logits, five, told);
  EXPECT_EQ(told.top[2].id, 0);
  EXPECT_EQ(told.top[2].logprob, -kInfinity);
}

TEST_F(ReportOnDevice, ARowThatIsNotFiniteHasNoLogProbabilities) {
  std::vector<float> logits = random_logits(1000, false, 4);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    logits[321] = bad;
    const std::vector<TokenReport> told = report(logits, 1000, {{0, -1, 5}, {0, 7, 5}});
    EXPECT_EQ(told[0].id, -1);
    EXPECT_EQ(told[1].id, 7);
    EXPECT_TRUE(std::isnan(told[1].logprob));
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(told[1].top[i].id >= 0 && told[1].top[i].id < 1000);
      EXPECT_TRUE(std::isnan(told[1].top[i].logprob));
    }
  }
}

TEST_F(ReportOnDevice, DependsOnItsRowAlone) {
  const std::int64_t vocab = 5000;
  const std::vector<float> logits = random_logits(3 * vocab, false, 6);
  const std::vector<TokenReport> together =
      report(logits, vocab, {{2, 9, 20}, {0, 9, 20}, {1, 9, 20}});
  const std::vector<float> last(logits.begin() + 2 * vocab, logits.end());
  const TokenReport alone = report(last, vocab, {{0, 9, 20}})[0];
  EXPECT_EQ(alone.logprob, together[0].logprob);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(alone.top[i].id, together[0].top[i].id);
    EXPECT_EQ(alone.top[i].logprob, together[0].top[i].logprob);
  }
}

}  // namespace
}  // namespace nvllm::cuda
