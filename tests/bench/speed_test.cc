#include "bench/speed.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "kernels/fusion_plan.h"

namespace nvllm::bench {
namespace {

SpeedOptions options_for(const std::string& leg) {
  SpeedOptions options;
  options.model = "synthetic:tiny-hybrid";
  options.batch = 3;
  options.context = 20;
  options.steps = 4;
  options.engine.leg = leg;
  options.engine.thread_count = 2;
  return options;
}

double calls_of(const SpeedReport& report, const std::string& operation) {
  for (const KernelSpeed& kernel : report.kernels) {
    if (kernel.operation == operation) return kernel.calls_per_step;
  }
  return 0;
}

TEST(Speed, CountsThePhrasesThatTheLegsPlanSpeaks) {
  const checkpoint::ModelConfig config = checkpoint::Checkpoint::open("synthetic:tiny-hybrid").config();
  std::vector<std::int64_t> attention;
  for (std::int64_t layer = 0; layer < config.layer_count(); ++layer) {
    if (config.layers[static_cast<std::size_t>(layer)] == checkpoint::LayerKind::kFullAttention) attention.push_back(layer);
  }
  for (const std::string& leg : leg_names()) {
    const SpeedReport report = measure_speed(options_for(leg));
    const PhraseCalls wanted = phrase_calls(named_leg(leg), attention, config.layer_count());
    EXPECT_EQ(calls_of(report, "DecodeKernel"), static_cast<double>(wanted.decode_kernel)) << leg;
    EXPECT_EQ(calls_of(report, "PhaseE_Beta_Kernel"), static_cast<double>(wanted.phase_e_beta)) << leg;
    EXPECT_EQ(calls_of(report, "Phase_D_MLP_Kernel"), static_cast<double>(wanted.phase_d_mlp)) << leg;
  }
}

TEST(Speed, ReportsPositiveTimesAndNoMoreInKernelsThanInTheStep) {
  const SpeedReport report = measure_speed(options_for("default"));
  EXPECT_GT(report.prefill_seconds, 0);
  EXPECT_GT(report.step_seconds, 0);
  EXPECT_GT(report.read_bytes_per_second, 0);
  EXPECT_GT(report.step_cost().bytes, 0);
  double sum = 0;
  for (const KernelSpeed& kernel : report.kernels) sum += kernel.seconds_per_step;
  for (const KernelSpeed& work : report.host_work) sum += work.seconds_per_step;
  EXPECT_LE(sum, report.profiled_step_seconds);
  EXPECT_GT(report.budget.kernel_s, 0);
  EXPECT_GT(report.budget.host_s, 0);
  EXPECT_EQ(report.budget.wall_s, report.step_seconds);
  EXPECT_GE(report.budget.profiled_wall_s, report.budget.kernel_s);
  EXPECT_NE(kernel_table(report).find("host: sample"), std::string::npos);
  EXPECT_NE(kernel_table(report).find("overhead"), std::string::npos);
  EXPECT_NE(kernel_table(report).find("logits"), std::string::npos);
  EXPECT_NE(speed_summary(report).find("batch 3"), std::string::npos);
  EXPECT_EQ(speed_json(report)["kernels"].size(), report.kernels.size());
}

TEST(Speed, RefusesWhatItCannotTime) {
  SpeedOptions options = options_for("default");
  options.engine.device = "cuda";
  EXPECT_THROW(static_cast<void>(measure_speed(options)), Error);
  options = options_for("no-such-leg");
  EXPECT_THROW(static_cast<void>(measure_speed(options)), Error);
  options = options_for("default");
  options.context = 1 << 20;
  EXPECT_THROW(static_cast<void>(measure_speed(options)), Error);
}

}  // namespace
}  // namespace nvllm::bench
