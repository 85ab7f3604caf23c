#include "bench/rules/facts.h"

#include <gtest/gtest.h>

#include <cmath>

namespace nvllm::bench {
namespace {

TEST(Fact, TakesItsErrorFromAnInterval) {
  const Fact fact = fact_from_interval({.value = 5, .unit = unit("ms")}, {.low = 4, .high = 6},
                                       0.90, Grade::kProvisional);
  EXPECT_NEAR(*fact.standard_error, 1 / 1.6448536269514722, 1e-12);
  EXPECT_EQ(fact.grade, Grade::kProvisional);
}

TEST(Fact, TakesItsErrorFromRounds) {
  const Fact fact = fact_from_rounds({10, 12, 14}, unit("us"), Grade::kConfirmed);
  EXPECT_DOUBLE_EQ(fact.estimate.value, 12);
  EXPECT_DOUBLE_EQ(*fact.standard_error, 2 / std::sqrt(3.0));
  EXPECT_EQ(fact.df, 2);
}

TEST(Fact, CanSayWhyThereIsNone) {
  EXPECT_EQ(unknown_fact(unit("pt"), "46 of 50 answers are censored").unknown_because,
            "46 of 50 answers are censored");
}

}  // namespace
}  // namespace nvllm::bench
