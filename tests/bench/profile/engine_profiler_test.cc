#include "bench/profile/engine_profiler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/files.h"
#include "base/json.h"
#include "engine/engine.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

using nvllm::testing::TempFolder;

std::unique_ptr<engine::Engine> tiny_engine(const std::string& leg) {
  engine::EngineOptions options;
  options.leg = leg;
  options.thread_count = 2;
  options.max_num_seqs = 2;
  options.max_model_len = 128;
  return engine::open_engine("synthetic:tiny-hybrid", options);
}

void generate(engine::Engine& engine, std::int64_t tokens) {
  engine::GenerationRequest request;
  request.prompt = {1, 2, 3, 4, 5};
  request.max_tokens = tokens;
  const engine::Submission submission = engine.submit(std::move(request));
  ASSERT_EQ(submission.outcome, engine::SubmitOutcome::kAccepted);
  while (submission.stream->wait().finish == engine::FinishReason::kNone) {
  }
}

Json metadata_of(const std::string& folder) {
  return parse_json(read_file(folder + "/profile_metadata.json", 1 << 20), "metadata");
}

TEST(EngineProfiler, CountsTheStepsBetweenStartAndStopAndNoOthers) {
  const TempFolder root;
  const auto engine = tiny_engine("lower8");
  EngineProfiler profiler(*engine, {.root = root.path(), .model = "tiny", .version = "9"});
  generate(*engine, 3);
  EXPECT_FALSE(profiler.stop().has_value());
  EXPECT_EQ(profiler.start(), server::ProfileStart::kStarted);
  EXPECT_EQ(profiler.start(), server::ProfileStart::kAlreadyRunning);
  generate(*engine, 8);
  const auto first = profiler.stop();
  generate(*engine, 3);
  EXPECT_EQ(profiler.start(), server::ProfileStart::kStarted);
  const auto second = profiler.stop();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->decode_steps, 7);  // the first token comes from the prefill
  EXPECT_EQ(first->prefills, 1);
  EXPECT_GT(first->kernel_calls, 8);
  EXPECT_EQ(second->decode_steps, 0);
  EXPECT_EQ(second->kernel_calls, 0);
  EXPECT_EQ(metadata_of(first->folder)["requests"], 1);
  EXPECT_EQ(metadata_of(first->folder)["model"], "tiny");
  const Json decode = metadata_of(first->folder)["phases"]["decode"];
  EXPECT_LE(decode["kernel_s"].get<double>() + decode["host_s"].get<double>(), decode["wall_s"].get<double>());
}

TEST(EngineProfiler, NamesTheHostsWork) {
  const TempFolder root;
  const auto engine = tiny_engine("default");
  EngineProfiler profiler(*engine, {.root = root.path()});
  ASSERT_EQ(profiler.start(), server::ProfileStart::kStarted);
  generate(*engine, 4);
  const auto result = profiler.stop();
  ASSERT_TRUE(result);
  const std::string csv = read_file(result->folder + "/kernels.csv", 1 << 20);
  for (const char* name : {"schedule", "sample", "stream", "rotary_angles"}) {
    EXPECT_NE(csv.find(std::string(name) + ",host,none,decode"), std::string::npos) << name;
  }
  EXPECT_EQ(read_file(result->folder + "/profile_kernels.csv", 1 << 20).find("sample"), std::string::npos);
}

TEST(EngineProfiler, StartsAndStopsFromOtherThreadsWhileTheEngineWorks) {
  const TempFolder root;
  const auto engine = tiny_engine("default");
  std::atomic<bool> done{false};
  std::int64_t decode_steps = 0, profiles = 0;
  {
    EngineProfiler profiler(*engine, {.root = root.path(), .limits = {.event_max = 64, .step_max = 64}});
    std::jthread worker([&] {
      for (int i = 0; i < 5; ++i) generate(*engine, 60);
      done = true;
    });
    while (!done) {
      ASSERT_EQ(profiler.start(), server::ProfileStart::kStarted);
      decode_steps += profiler.stop()->decode_steps;
      ++profiles;
    }
    ASSERT_EQ(profiler.start(), server::ProfileStart::kStarted);  // and left running: the destructor takes it back
  }
  EXPECT_GT(profiles, 0);
  EXPECT_LE(decode_steps, 5 * 59);
  generate(*engine, 3);
}

}  // namespace
}  // namespace nvllm::bench
