#include "bench/run/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "bench/run/fake_server.h"
#include "bench/run/templates.h"
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
  EXPECT_EQ(read_noise_floor(root.path() / "noise.json").boot_sigma, noise.boot_sigma);
  write_boots(root.path() / "y", {100});
  EXPECT_THROW(measure_noise(root.path() / "y"), Error);
}

}  // namespace
}  // namespace nvllm::bench
