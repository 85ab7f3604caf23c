#include "bench/analysis/drawn_sweeps.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/hashing.h"
#include "bench/analysis/synthetic_folders.h"

namespace nvllm::bench {
namespace {

/// Two legs of the same server, and the claim that they differ.
Sweep two_legs(const std::string& expression, double alpha) {
  return parse_sweep(
      "schema = \"nvllm.sweep/v1\"\nname = \"s\"\nclaim = "
      "\"c\"\n[legs.a]\n[legs.b]\n[hypotheses]\nH1 = "
      "{ expr = \"" +
          expression + "\", alpha = " + std::to_string(alpha) +
          " }\n[[verdict]]\nwhen = \"true\"\nid = \"x\"\n",
      "s.toml");
}

/// A normal deviate from two uniform ones (Box and Muller 1958).
double normal(std::uint64_t seed, std::uint64_t at) {
  constexpr double kTwoPi = 6.283185307179586;
  return std::sqrt(-2 * std::log(1 - random_uniform(seed, 2 * at))) *
         std::cos(kTwoPi * random_uniform(seed, 2 * at + 1));
}

/// Boots of both legs, scattering by one per cent; those of b are slower by `shift`.
EvidenceFolder recorded(std::int64_t boots, double shift) {
  EvidenceFolder folder;
  for (const std::string name : {"a", "b"}) {
    LegEvidence leg;
    leg.leg = name;
    for (std::int64_t i = 0; i < boots; ++i) {
      const double scatter = 0.01 * normal(name == "a" ? 7 : 8, static_cast<std::uint64_t>(i));
      leg.profiles.push_back(
          boot(name, i + 1, {.plain_us = 150 * (1 + scatter + (name == "b" ? shift : 0))}));
    }
    folder.legs.push_back(std::move(leg));
  }
  return folder;
}

BootPools pools_of(const EvidenceFolder& folder) {
  BootPools pools;
  add_boots(folder, pools);
  return pools;
}

TEST(DrawnSweeps, WithoutADifferenceConfirmAtTheDeclaredLevel) {
  const BootPools pools = without_labels(pools_of(recorded(400, 0)));
  for (const double alpha : {0.05, 0.2}) {
    const Sweep sweep = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) != 0", alpha);
    const Tally tally = confirmed_in_draws(sweep, pools, {.draws = 2000, .rounds = 6})[0];
    EXPECT_EQ(tally.trials, 2000);
    // Normal boots: the rate is alpha itself. Five standard errors of 2000 draws, about 1 in a
    // million.
    const double share = static_cast<double>(tally.count) / 2000;
    EXPECT_NEAR(share, alpha, 5 * std::sqrt(alpha * (1 - alpha) / 2000));
  }
}

TEST(DrawnSweeps, FindAPlantedDifferenceAndNotTheOppositeOne) {
  // Three per cent against a scatter of sqrt(2) per cent of a pair: in 6 rounds the power is above
  // 0.99.
  const BootPools pools = pools_of(recorded(100, 0.03));
  const Sweep slower = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) > 0", 0.05);
  EXPECT_GT(confirmed_in_draws(slower, pools, {.draws = 500, .rounds = 6})[0].count, 475);
  const Sweep faster = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) < 0", 0.05);
  EXPECT_EQ(confirmed_in_draws(faster, pools, {.draws = 500, .rounds = 6})[0].count, 0);
}

TEST(DrawnSweeps, HaveNoDifferenceOnceLabelsAreGone) {
  const BootPools pools = without_labels(pools_of(recorded(100, 0.03)));
  EXPECT_EQ(pools.at("a").size(), 200u);
  const Sweep slower = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) > 0", 0.05);
  EXPECT_LT(confirmed_in_draws(slower, pools, {.draws = 500, .rounds = 6})[0].count, 75);
}

TEST(DrawnSweeps, AreTheSameForTheSameSeedAndOthersForAnother) {
  const BootPools pools = pools_of(recorded(20, 0.005));
  const Sweep sweep = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) > 0", 0.05);
  const auto count = [&](std::uint64_t seed) {
    return confirmed_in_draws(sweep, pools, {.draws = 500, .rounds = 4, .seed = seed})[0].count;
  };
  EXPECT_EQ(count(1), count(1));
  EXPECT_NE(count(1), count(2));
}

/// Boots that scatter by five per cent from round to round, and within a round by a tenth of that.
EvidenceFolder in_rounds(std::int64_t rounds, double shift) {
  EvidenceFolder folder;
  for (const std::string name : {"a", "b"}) {
    LegEvidence leg;
    leg.leg = name;
    for (std::int64_t i = 0; i < rounds; ++i) {
      const auto at = static_cast<std::uint64_t>(i);
      const double scatter = 0.05 * normal(9, at) + 0.005 * normal(name == "a" ? 10 : 11, at);
      leg.profiles.push_back(boot(name, i + 1, {.plain_us = 150 * (1 + scatter + (name == "b" ? shift : 0))}));
    }
    folder.legs.push_back(std::move(leg));
  }
  return folder;
}

TEST(DrawnSweeps, OfWholeRoundsKeepWhatTheBootsOfARoundShare) {
  const BootPools pools = pools_of(in_rounds(200, 0.03));
  const Sweep slower = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) > 0", 0.05);
  // Three per cent against 0.7 of a pair, and against 7.1 of two boots that share nothing.
  EXPECT_GT(confirmed_in_draws(slower, pools, {.unit = DrawUnit::kRound, .draws = 300, .rounds = 6})[0].count, 295);
  EXPECT_LT(confirmed_in_draws(slower, pools, {.unit = DrawUnit::kBoot, .draws = 300, .rounds = 6})[0].count, 150);
}

TEST(DrawnSweeps, OfShuffledRoundsConfirmAtTheDeclaredLevel) {
  const BootPools pools = pools_of(in_rounds(400, 0));
  const Sweep sweep = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) != 0", 0.1);
  const Tally tally = confirmed_in_draws(sweep, pools, {.unit = DrawUnit::kShuffledRound, .draws = 2000, .rounds = 6})[0];
  EXPECT_NEAR(static_cast<double>(tally.count) / 2000, 0.1, 5 * std::sqrt(0.1 * 0.9 / 2000));
}

TEST(DrawnSweeps, OfRoundsNeedEquallyManyBootsOfEveryLeg) {
  BootPools pools = pools_of(in_rounds(4, 0));
  pools["b"].pop_back();
  const Sweep sweep = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) > 0", 0.05);
  EXPECT_THROW(confirmed_in_draws(sweep, pools, {.unit = DrawUnit::kRound}), Error);
}

TEST(DrawnSweeps, NeedBootsOfEveryLeg) {
  BootPools pools = pools_of(recorded(4, 0));
  pools.erase("b");
  const Sweep sweep = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) > 0", 0.05);
  EXPECT_THROW(confirmed_in_draws(sweep, pools), Error);
}

TEST(DecideHypotheses, AgreesWithTheVerdictOfAComparison) {
  for (const double shift : {0.0, 0.05, -0.05}) {
    const EvidenceFolder now = recorded(6, shift);
    const Sweep sweep = two_legs("mean_us(b,DecodeKernel) - mean_us(a,DecodeKernel) > 0", 0.05);
    const Truth truth = decide_hypotheses(sweep, now)[0];
    const Json verdict = compared(now, now, sweep).analysis.at("verdict");
    EXPECT_EQ(verdict.at("hypotheses").at(0).at("state"), state_text(truth, Grade::kConfirmed))
        << shift;
  }
}

}  // namespace
}  // namespace nvllm::bench
