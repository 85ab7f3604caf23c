#include "bench/run/schedule.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace nvllm::bench {
namespace {

Sweep sweep_with(const std::string& schedule) {
  return parse_sweep(R"(schema = "nvllm.sweep/v1"
name = "s"
claim = "c"
[model]
path = "synthetic:tiny-hybrid"
[legs.a]
[legs.b]
[legs.c]
[profile]
bursts = [{ requests = 1, max_tokens = 4 }, { requests = 1, max_tokens = 2 }]
[[verdict]]
when = "true"
id = "x"
[schedule]
)" + schedule,
                     "s.toml");
}

std::vector<Unit> units_of(const std::string& schedule) {
  const Sweep sweep = sweep_with(schedule);
  return schedule_units(sweep, run_settings(sweep, ""));
}

TEST(Schedule, HasEveryLegInEveryPlaceEquallyOften) {
  const std::vector<Unit> units = units_of("rounds = { profile = 6, gsm8k = 0 }");
  ASSERT_EQ(units.size(), 18u);
  std::map<std::pair<std::string, std::size_t>, int> places;
  for (std::size_t i = 0; i < units.size(); ++i) {
    EXPECT_EQ(units[i].round, static_cast<std::int64_t>(i / 3 + 1));
    ++places[{units[i].leg, i % 3}];
  }
  EXPECT_EQ(places.size(), 9u);
  for (const auto& [place, count] : places) EXPECT_EQ(count, 2);
}

TEST(Schedule, AsksInItsOwnBootAfterTheProfileOfTheSameLegAndRound) {
  const std::vector<Unit> units =
      units_of("rounds = { profile = 2, gsm8k = 1 }\norder = \"sequential\"");
  ASSERT_EQ(units.size(), 9u);
  EXPECT_EQ(units[0], (Unit{"a", "profile", 1}));
  EXPECT_EQ(units[1], (Unit{"a", "gsm8k", 1}));
  EXPECT_EQ(units[2], (Unit{"b", "profile", 1}));
  EXPECT_EQ(units[6], (Unit{"a", "profile", 2}));
  EXPECT_EQ(units[8], (Unit{"c", "profile", 2}));
}

TEST(Schedule, AUnitsHashKnowsLegWorkloadAndIdentityButNotTheRules) {
  Sweep sweep = sweep_with("rounds = { profile = 1 }");
  const Unit unit{"a", "profile", 1};
  const std::string hash = unit_hash(sweep, unit, {{"binary", "1"}});
  EXPECT_NE(unit_hash(sweep, unit, {{"binary", "2"}}), hash);
  EXPECT_NE(unit_hash(sweep, {"a", "profile", 2}, {{"binary", "1"}}), hash);
  sweep.canonical["claim"] = "another";
  EXPECT_EQ(unit_hash(sweep, unit, {{"binary", "1"}}), hash);
  sweep.canonical["profile"]["bursts"][0]["requests"] = 9;
  EXPECT_NE(unit_hash(sweep, unit, {{"binary", "1"}}), hash);
}

TEST(Schedule, AUnitsHashKnowsItsServer) {
  Sweep sweep = sweep_with("rounds = { profile = 1 }");
  const Unit unit{"a", "profile", 1};
  const std::string hash = unit_hash(sweep, unit, {});
  sweep.canonical["server"]["ready"]["timeout_s"] = 5;
  EXPECT_EQ(unit_hash(sweep, unit, {}), hash);
  sweep.canonical["server"]["kind"] = "vllm";
  EXPECT_NE(unit_hash(sweep, unit, {}), hash);
  sweep.canonical.erase("server");
  sweep.legs[0].command = {"other"};
  EXPECT_NE(unit_hash(sweep, unit, {}), hash);
  EXPECT_EQ(unit_hash(sweep, {"b", "profile", 1}, {}),
            unit_hash(sweep_with("rounds = { profile = 1 }"), {"b", "profile", 1}, {}));
}

TEST(Schedule, OnlySelectsByLegPhaseAndRound) {
  const Unit unit{"lower8", "profile", 2};
  for (const char* only :
       {"", "lower8", "lower8/profile", "lower8/profile/2", "*/profile", "*/*/2"}) {
    EXPECT_TRUE(selected(only, unit)) << only;
  }
  for (const char* only : {"lower", "lower8/gsm8k", "lower8/profile/1", "*/*/3"}) {
    EXPECT_FALSE(selected(only, unit)) << only;
  }
  for (const char* only : {"lower8/", "a/b/c", "lower8/profile/2/3", "/profile"}) {
    EXPECT_THROW(static_cast<void>(selected(only, unit)), Error) << only;
  }
}

}  // namespace
}  // namespace nvllm::bench
