#include "bench/run/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "bench/run/fake_server.h"
#include "bench/run/templates.h"
#include "bench/stats/power.h"
#include "bench/store/canonical_json.h"
#include "bench/store/kernel_csv.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

using ::testing::HasSubstr;

const std::string kRules = R"(
[gates]
kernels = { kind = "equivalent", margin = "2%", required = true }
quality = { kind = "noninferior", margin = "4pt" }
[hypotheses]
H1 = { expr = "ms_per_token(a) - ms_per_token(b) > 0" }
[[verdict]]
when = "true"
id = "x"
)";

SweepPlan plan_with(std::int64_t rounds, const std::optional<NoiseFloor>& noise,
                    const std::string& borrowed = "") {
  const Sweep sweep = parse_sweep(fmt::format(R"(schema = "nvllm.sweep/v1"
name = "s"
claim = "c"
[model]
path = "synthetic:tiny-hybrid"
[legs.a]
[legs.b]
[schedule]
rounds = {{ profile = {}, gsm8k = 1 }}
[profile]
bursts = [{{ requests = 1, max_tokens = 4 }}, {{ requests = 1, max_tokens = 2 }}]
{}{})",
                                              rounds, borrowed, kRules),
                                  "s.toml");
  return plan_sweep(sweep, run_settings(sweep, ""), noise);
}

NoiseFloor floor_of(double sigma) {
  NoiseFloor noise;
  noise.boot_sigma = sigma;
  noise.boots = 12;
  return noise;
}

TEST(Plan, HasNoPowerWithoutNoise) {
  const SweepPlan plan = plan_with(4, std::nullopt);
  EXPECT_TRUE(plan.underpowered());
  EXPECT_FALSE(plan.seconds.has_value());
  EXPECT_THAT(plan_text(plan), HasSubstr("no noise is known"));
}

TEST(Plan, SmallNoiseAndEnoughRoundsDecideAndLargeNoiseDoesNot) {
  NoiseFloor noise = floor_of(0.002);
  EXPECT_FALSE(plan_with(4, noise).underpowered());
  EXPECT_TRUE(plan_with(1, noise).underpowered());
  noise.boot_sigma = 0.05;
  const SweepPlan plan = plan_with(4, noise);
  EXPECT_TRUE(plan.underpowered());
  EXPECT_THAT(plan_text(plan), HasSubstr("rounds would do"));
}

TEST(Plan, TakesTheNoiseThatTheSweepBorrowsWhereNoneWasMeasured) {
  const SweepPlan plan = plan_with(
      4, std::nullopt, "[noise]\nkind = \"borrowed\"\nboot_sigma = \"0.1%\"\nsource = \"there\"\n");
  EXPECT_FALSE(plan.underpowered());
  EXPECT_THAT(plan.noise_source, HasSubstr("there"));
}

TEST(Plan, AddsUpTheTimeThatUnitsTookBefore) {
  NoiseFloor noise = floor_of(0.002);
  noise.unit_s = {{"profile", 2}, {"gsm8k", 10}};
  // Two legs: three profile rounds and one of questions.
  EXPECT_DOUBLE_EQ(plan_with(3, noise).seconds.value(), 2 * (3 * 2 + 10));
}

TEST(Plan, FiftyQuestionsDoNotShowFourPoints) {
  const SweepPlan plan = plan_with(4, floor_of(0.001));
  ASSERT_EQ(plan.rules.size(), 3u);
  for (const RulePower& one : plan.rules) {
    EXPECT_EQ(one.enough, one.name != "gate quality") << one.name;
  }
}

/// One hypothesis in a plan of four rounds, with a scatter of 1 % of whole steps and 0.2 % of one
/// kernel.
RulePower planned(const std::string& hypothesis, const std::string& schedule = "") {
  NoiseFloor noise = floor_of(0.01);
  noise.kernels = {{"steady", 0.002}, {"drifting", 0.05}};
  noise.relative = {{"drifting", 0.001}, {"anchor", 0.001}, {"restless", 0.05}};
  const Sweep sweep = parse_sweep(fmt::format(R"(schema = "nvllm.sweep/v1"
name = "s"
claim = "c"
[model]
path = "synthetic:tiny-hybrid"
[legs.a]
[legs.b]
[schedule]
rounds = {{ profile = 4, gsm8k = 0 }}
{}
[profile]
bursts = [{{ requests = 1, max_tokens = 4 }}, {{ requests = 1, max_tokens = 2 }}]
[hypotheses]
H1 = {{ {} }}
[[verdict]]
when = "true"
id = "x"
)",
                                              schedule, hypothesis),
                                  "s.toml");
  return plan_sweep(sweep, run_settings(sweep, ""), noise).rules.at(0);
}

TEST(Plan, TakesTheNoiseOfTheKernelThatAHypothesisNames) {
  EXPECT_TRUE(planned("expr = \"mean_us(a,steady) - mean_us(b,steady) > 0\"").enough);
  EXPECT_FALSE(planned("expr = \"ms_per_token(a) - ms_per_token(b) > 0\"").enough);
  EXPECT_FALSE(planned("expr = \"mean_us(a,other) - mean_us(b,other) > 0\"").enough);
  EXPECT_FALSE(planned("expr = \"mean_us(a,drifting) - mean_us(b,steady) > 0\"").enough);
  const auto over = [](const char* function, const char* below) {
    return planned(
        fmt::format("expr = \"{0}(a,drifting) / {0}(a,{1}) - {0}(b,drifting) / {0}(b,{1}) > 0\"",
                    function, below));
  };
  EXPECT_TRUE(over("geomean_us", "anchor").enough);
  EXPECT_FALSE(over("geomean_us", "restless").enough);
  EXPECT_FALSE(over("geomean_us", "never-seen").enough);
  EXPECT_FALSE(over("mean_us", "anchor").enough) << "one interrupted call moves a mean";
}

TEST(Plan, ChoosesTheFewestRoundsThatFindTheEffectWithTheWantedChance) {
  const std::string claim = "expr = \"ms_per_token(a) - ms_per_token(b) > 0\", effect = \"3%\"";
  // By stats: the same design, asked directly.
  PairedDesign design{.boot_scatter = 0.01, .true_difference = 0.03, .alpha = 0.1};
  for (const double power : {0.8, 0.95}) {
    const RulePower rule = planned(claim, fmt::format("power = {}", power));
    ASSERT_TRUE(rule.rounds.has_value());
    design.rounds = *rule.rounds;
    EXPECT_GE(difference_power(design), power);
    design.rounds = *rule.rounds - 1;
    EXPECT_LT(difference_power(design), power);
    EXPECT_EQ(rule.enough, *rule.rounds <= 4);
  }
  EXPECT_LT(*planned(claim).rounds,
            *planned("expr = \"ms_per_token(a) - ms_per_token(b) > 0\"").rounds);
}

TEST(Plan, GivesBothSidesOfAnUnequalHalfOfTheLevel) {
  const auto rounds = [](const char* operation) {
    return *planned(fmt::format("expr = \"ms_per_token(a) - ms_per_token(b) {} 0\"", operation))
                .rounds;
  };
  EXPECT_GT(rounds("!="), rounds(">"));
}

TEST(Templates, AreSweepsThatCanBeRun) {
  for (const std::string& name : template_names()) {
    const Sweep sweep = parse_sweep(sweep_template(name), name);
    EXPECT_GE(sweep.legs.size(), 2u);
    EXPECT_EQ(run_settings(sweep, "").profile_rounds, 6);
  }
  EXPECT_THROW(sweep_template("5leg"), Error);
}

/// A folder whose only kernel takes these times in these boots.
void write_boots(const std::filesystem::path& folder, const std::vector<double>& means_us) {
  for (std::size_t i = 0; i < means_us.size(); ++i) {
    const std::filesystem::path unit = folder / fmt::format("a/rounds/{:02}/profile", i + 1);
    KernelTable table;
    table.leg = "a";
    KernelRow row;
    row.name = row.short_name = "matmul";
    row.n_calls = 100;
    row.mean_us = row.p50_us = row.p95_us = means_us[i];
    row.total_ms = means_us[i] / 10;
    row.log_mean = std::log(means_us[i]);
    table.rows = {row};
    test::put_file(unit / "kernels.csv", format_kernels(table, nullptr));
    test::put_file(unit / "profile_metadata.json",
                   R"({"workload":{"requests":10,"max_tokens":11}})");
  }
}

TEST(Noise, IsTheScatterOfLogTimesBetweenBoots) {
  const nvllm::testing::TempFolder root;
  write_boots(root.path() / "x", {100, 100 * std::exp(0.02), 100 * std::exp(0.01)});
  const NoiseFloor noise = measure_noise(root.path() / "x");
  EXPECT_NEAR(noise.boot_sigma, 0.01, 1e-12);
  EXPECT_EQ(noise.boots, 3);
  EXPECT_EQ(noise.df, 2);
  write_file_atomically(root.path() / "noise.json",
                        readable_json(noise_json(noise, root.path() / "x")));
  EXPECT_NEAR(noise.kernels.at("matmul"), 0.01, 1e-12);
  EXPECT_NEAR(noise.relative.at("matmul"), 0, 1e-6) << "the only kernel is all of the step";
  const NoiseFloor read = read_noise_floor(root.path() / "noise.json");
  EXPECT_EQ(read.boot_sigma, noise.boot_sigma);
  EXPECT_EQ(read.kernels, noise.kernels);
  EXPECT_EQ(read.classes, noise.classes);
  EXPECT_EQ(read.relative, noise.relative);
  write_boots(root.path() / "y", {100});
  EXPECT_THROW(measure_noise(root.path() / "y"), Error);
}

}  // namespace
}  // namespace nvllm::bench
