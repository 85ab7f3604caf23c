// What kernels and runners say of themselves to a listener.

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "engine/runner_cpu.h"
#include "support/model_trace.h"

namespace nvllm::engine {
namespace {

/// One announcement without its times.
struct Said {
  std::string operation;
  std::int64_t layer = -1;
  LaunchShape shape;
  WorkKind kind = WorkKind::kKernel;
  friend bool operator==(const Said&, const Said&) = default;
};

struct Recorder final : LaunchListener {
  void on_launch(const LaunchNote& note) override {
    said.push_back({std::string(note.operation), note.layer, note.shape, note.kind});
    costs.push_back(note.cost);
    EXPECT_GE(note.seconds, 0) << note.operation;
    EXPECT_GE(note.begin, last) << note.operation;
    last = note.begin;
  }
  std::vector<Said> said;
  std::vector<Cost> costs;
  SteadyTime last{};
};

/// A prompt of five tokens and one decode step, both heard.
template <class RunnerType>
Recorder listen(RunnerType& runner) {
  const std::vector<std::int32_t> blocks{0};
  const SamplingParams greedy{.temperature = 0, .seed = {}, .logit_bias = {}};
  Recorder recorder;
  runner.set_launch_listener(&recorder);
  for (const auto& [start, count] : {std::pair{0, 5}, {5, 1}}) {
    StepPlan plan;
    plan.ids.assign(static_cast<std::size_t>(count), 7);
    plan.segments.push_back({.token_count = count, .start = start, .slot = 0, .slot_epoch = 1, .blocks = blocks});
    plan.logit_rows.push_back(count - 1);
    plan.samples.push_back({.logit_index = 0, .params = &greedy, .seed = 0, .prompt = {}, .output = {}, .banned = {}});
    runner.run(plan);
  }
  runner.set_launch_listener(nullptr);
  return recorder;
}

EngineOptions options_for(const std::string& leg) {
  EngineOptions options = test::tiny_options(1, 0);
  options.leg = leg;
  return options;
}

TEST(Launches, TheOracleAndTheCpuSpellAStepOutAlike) {
  const Recorder cpu = listen(*make_cpu_runner(test::tiny_hybrid(), options_for("spelled-out")));
  const Recorder reference = listen(*make_reference_runner(test::tiny_hybrid(), options_for("spelled-out")));
  ASSERT_EQ(cpu.said.size(), reference.said.size());
  for (std::size_t i = 0; i < cpu.said.size(); ++i) {
    EXPECT_EQ(cpu.said[i].operation, reference.said[i].operation) << i;
    EXPECT_EQ(cpu.said[i], reference.said[i]) << cpu.said[i].operation;
  }
}

TEST(Launches, EveryKernelOfEveryLegHasAShapeAndACost) {
  for (const char* leg : {"spelled-out", "lower8", "phaseE-off", "all-beta", "default"}) {
    const Recorder recorder = listen(*make_cpu_runner(test::tiny_hybrid(), options_for(leg)));
    std::int64_t kernels = 0;
    for (std::size_t i = 0; i < recorder.said.size(); ++i) {
      const Said& said = recorder.said[i];
      if (said.kind == WorkKind::kHost) continue;
      ++kernels;
      EXPECT_GT(said.shape.rows, 0) << leg << ' ' << said.operation;
      EXPECT_GT(said.shape.outputs, 0) << leg << ' ' << said.operation;
      EXPECT_GT(recorder.costs[i].bytes, 0) << leg << ' ' << said.operation;
    }
    EXPECT_GT(kernels, 0) << leg;
  }
}

TEST(Launches, AStepBeginsWithAnglesAndEndsWithSampling) {
  const Recorder recorder = listen(*make_cpu_runner(test::tiny_hybrid(), options_for("default")));
  EXPECT_EQ(recorder.said.front(), (Said{"rotary_angles", -1, {}, WorkKind::kHost}));
  EXPECT_EQ(recorder.said.back(), (Said{"sample", -1, {}, WorkKind::kHost}));
  EXPECT_EQ(recorder.said[recorder.said.size() - 2].operation, "logits");
}

TEST(Launches, AStepNoteCountsRowsAsTheKernelsSeeThem) {
  StepPlan plan;
  plan.segments.push_back({.token_count = 1, .start = 9, .blocks = {}});  // decodes
  plan.segments.push_back({.token_count = 1, .start = 0, .blocks = {}});  // a prompt of one token
  plan.segments.push_back({.token_count = 4, .start = 8, .blocks = {}});  // a later chunk
  const SteadyTime begin = SteadyTime{} + std::chrono::seconds(3);
  const StepNote note = step_note(plan, begin);
  EXPECT_EQ(note.decode_rows, 1);
  EXPECT_EQ(note.prefill_rows, 5);
  EXPECT_EQ(note.prefills, 1);
  EXPECT_EQ(note.begin, begin);
}

}  // namespace
}  // namespace nvllm::engine
