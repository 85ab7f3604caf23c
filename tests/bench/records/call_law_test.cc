#include "bench/records/call_law.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace nvllm::bench {
namespace {

KernelTable burst(std::int64_t requests, std::int64_t steps_each,
                  std::initializer_list<std::pair<const char*, std::int64_t>> calls) {
  KernelTable table;
  table.leg = "leg";
  table.requests = table.prefills = requests;
  table.decode_steps = requests * steps_each;
  for (const auto& [name, n_calls] : calls) {
    KernelRow row;
    row.name = row.short_name = name;
    row.n_calls = n_calls;
    table.rows.push_back(row);
  }
  return table;
}

TEST(CallLaw, TwoLengthsGiveTheSplitThatMadeThem) {
  for (const std::int64_t a : {0, 1, 14, 145}) {
    for (const std::int64_t b : {0, 1, 128, 400}) {
      const BurstCount long_one{10 * (a * 255 + b), 10, 255}, short_one{4 * (a * 127 + b), 4, 127};
      EXPECT_EQ(solve_call_law(long_one, short_one), (CallLaw{a, b}));
      EXPECT_EQ(solve_call_law(short_one, long_one), (CallLaw{a, b}));
    }
  }
}

TEST(CallLaw, RefusesCountsThatObeyNone) {
  EXPECT_EQ(solve_call_law({10 * (14 * 255), 10, 255}, {10 * (14 * 127) + 1, 10, 127}), std::nullopt);
  EXPECT_EQ(solve_call_law({2551, 1, 255}, {1270, 1, 127}), std::nullopt) << "1281 calls for 128 more steps";
  EXPECT_EQ(solve_call_law({100, 1, 255}, {228, 1, 127}), std::nullopt) << "fewer calls in more steps";
  EXPECT_EQ(solve_call_law({255, 1, 255}, {1, 1, 128}), std::nullopt) << "a = 2 would need b = -255";
  EXPECT_EQ(solve_call_law({10, 1, 255}, {10, 1, 255}), std::nullopt) << "one length twice";
}

TEST(CallLaw, OneLengthOnlyGuesses) {
  EXPECT_EQ(guess_call_law({35700, 10, 255}), (CallLaw{14, 0}));
  EXPECT_EQ(guess_call_law({10 * (3 * 255 + 300), 10, 255}), (CallLaw{4, 45})) << "b above 254 is taken for a step";
  EXPECT_EQ(guess_call_law({35701, 10, 255}), std::nullopt);
}

TEST(CallLaw, ReportsEveryRowOfTwoBurstsAndCountsTheResidual) {
  const KernelTable long_one = burst(10, 255, {{"decode", 35700}, {"prefill", 480}, {"odd", 7}, {"gone", 10}});
  const KernelTable short_one = burst(10, 127, {{"prefill", 480}, {"decode", 17780}, {"new", 20}});
  const LawReport report = solve_call_laws(short_one, long_one);
  ASSERT_EQ(report.rows.size(), 5u);
  EXPECT_EQ(report.steps_per_request, 255);
  EXPECT_EQ(report.rows[0].proof, LawProof::kProven);
  EXPECT_EQ(report.rows[0].law, (CallLaw{14, 0}));
  EXPECT_EQ(report.rows[1].law, (CallLaw{0, 48}));
  EXPECT_EQ(report.rows[2].proof, LawProof::kResidual);
  EXPECT_EQ(report.rows[2].remainder, 7);
  EXPECT_EQ(report.rows[3].proof, LawProof::kResidual) << "called once a request in the long burst only";
  EXPECT_EQ(report.rows[4].name, "new");
  EXPECT_EQ(report.rows[4].proof, LawProof::kResidual);
  EXPECT_EQ(report.residual_rows, 3);
}

TEST(CallLaw, DoesNotCallOneBurstAProof) {
  const LawReport report = guess_call_laws(burst(10, 255, {{"decode", 35700}, {"odd", 7}}));
  EXPECT_EQ(report.rows[0].proof, LawProof::kNotProven);
  EXPECT_EQ(report.rows[1].proof, LawProof::kResidual);
  EXPECT_EQ(report.residual_rows, 1);
}

TEST(CallLaw, AsksForRequestsAndStepsAndTwoLengths) {
  EXPECT_THROW((void)guess_call_laws(burst(0, 0, {})), Error);
  KernelTable uneven = burst(10, 255, {});
  uneven.decode_steps += 1;
  EXPECT_THROW((void)guess_call_laws(uneven), Error);
  EXPECT_THROW((void)solve_call_laws(burst(10, 255, {}), burst(4, 255, {})), Error);
}

TEST(CallLaw, BoundsTheRequestsByTheCounts) {
  EXPECT_EQ(requests_bound(burst(1, 1, {{"a", 160}, {"b", 30}})), 10);
  EXPECT_EQ(requests_bound(burst(1, 1, {})), 0);
}

}  // namespace
}  // namespace nvllm::bench
