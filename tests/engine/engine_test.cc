#include "engine/engine.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "base/error.h"
#include "kernels/launch_note.h"
#include "support/scripted_runner.h"

namespace nvllm::engine {
namespace {

GenerationRequest request(std::int64_t prompt, std::int64_t max_tokens) {
  GenerationRequest out;
  out.prompt.assign(static_cast<std::size_t>(prompt), 7);
  out.max_tokens = max_tokens;
  return out;
}

StreamEvent finish(TokenStream& stream) {
  StreamEvent all;
  while (all.finish == FinishReason::kNone) {
    StreamEvent event = stream.wait();
    all.tokens.insert(all.tokens.end(), event.tokens.begin(), event.tokens.end());
    all.finish = event.finish;
    all.error = event.error;
  }
  return all;
}

/// Holds the engine inside a step until opened.
struct Gate {
  std::promise<void> open;
  std::shared_future<void> opened = open.get_future().share();
};

TEST(Engine, ServesMoreRequestsThanItHasSlots) {
  Engine engine(std::make_unique<test::ScriptedRunner>(test::small_limits()), 100);
  std::vector<Submission> submissions;
  for (int i = 1; i <= 20; ++i) submissions.push_back(engine.submit(request(i % 9 + 1, 5)));
  for (auto& s : submissions) {
    ASSERT_EQ(s.outcome, SubmitOutcome::kAccepted);
    const StreamEvent event = finish(*s.stream);
    EXPECT_EQ(event.finish, FinishReason::kLength);
    EXPECT_EQ(event.tokens.size(), 5u);
  }
}

TEST(Engine, RefusesPromptsThatDoNotFitWithBothNumbers) {
  Engine engine(std::make_unique<test::ScriptedRunner>(test::small_limits()), 100);
  try {
    static_cast<void>(engine.submit(request(32, 5)));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("32 tokens"), std::string::npos);
  }
  EXPECT_EQ(finish(*engine.submit(request(31, 5)).stream).tokens.size(), 1u);  // clamped to the context
  EXPECT_THROW(static_cast<void>(engine.submit(request(0, 5))), Error);
  GenerationRequest outside = request(2, 5);
  outside.prompt[1] = 1000;
  EXPECT_THROW(static_cast<void>(engine.submit(outside)), Error);
  outside.prompt[1] = -1;
  EXPECT_THROW(static_cast<void>(engine.submit(outside)), Error);
}

TEST(Engine, AnswersQueueFullInsteadOfWaiting) {
  const auto gate = std::make_shared<Gate>();
  auto runner = std::make_unique<test::ScriptedRunner>(test::small_limits());
  runner->before_step = [gate](const StepPlan&) { gate->opened.wait(); };
  Engine engine(std::move(runner), 2);
  std::vector<Submission> accepted;
  SubmitOutcome last = SubmitOutcome::kAccepted;
  for (int i = 0; i < 20 && last == SubmitOutcome::kAccepted; ++i) {
    Submission s = engine.submit(request(2, 2));
    last = s.outcome;
    if (last == SubmitOutcome::kAccepted) accepted.push_back(std::move(s));
  }
  EXPECT_EQ(last, SubmitOutcome::kQueueFull);
  gate->open.set_value();
  for (auto& s : accepted) EXPECT_EQ(finish(*s.stream).finish, FinishReason::kLength);
}

TEST(Engine, AcceptsSeveralTogetherOrNone) {
  Engine engine(std::make_unique<test::ScriptedRunner>(test::small_limits()), 2);
  std::vector<GenerationRequest> many(10, request(2, 2));
  for (const Submission& s : engine.submit_all(many)) EXPECT_EQ(s.outcome, SubmitOutcome::kQueueFull);
  EXPECT_TRUE(engine.idle());
}

TEST(Engine, FinishesWhatItHasWhileDrainingAndRefusesTheRest) {
  const auto gate = std::make_shared<Gate>();
  auto runner = std::make_unique<test::ScriptedRunner>(test::small_limits());
  runner->before_step = [gate](const StepPlan&) { gate->opened.wait(); };
  Engine engine(std::move(runner), 10);
  const Submission before = engine.submit(request(2, 3));
  engine.drain();
  EXPECT_EQ(engine.submit(request(2, 3)).outcome, SubmitOutcome::kDraining);
  gate->open.set_value();
  EXPECT_EQ(finish(*before.stream).finish, FinishReason::kLength);
}

TEST(Engine, CancelsWithinOneStep) {
  const auto steps = std::make_shared<std::atomic<int>>(0);
  auto runner = std::make_unique<test::ScriptedRunner>(test::small_limits());
  const auto stream = std::make_shared<std::promise<std::shared_ptr<TokenStream>>>();
  auto known = stream->get_future().share();
  runner->before_step = [steps, known](const StepPlan&) {
    if (++*steps == 3) known.get()->cancel();
  };
  Engine engine(std::move(runner), 10);
  const Submission s = engine.submit(request(2, 30));
  stream->set_value(s.stream);
  EXPECT_EQ(finish(*s.stream).finish, FinishReason::kCancelled);
  EXPECT_EQ(steps->load(), 3);
}

TEST(Engine, ADeadRunnerFailsEveryStreamAndAllLaterRequests) {
  auto runner = std::make_unique<test::ScriptedRunner>(test::small_limits());
  runner->before_step = [](const StepPlan&) { throw Error(ErrorKind::kDevice, "the device fell off"); };
  Engine engine(std::move(runner), 10);
  const StreamEvent event = finish(*engine.submit(request(2, 3)).stream);
  EXPECT_EQ(event.finish, FinishReason::kError);
  EXPECT_NE(event.error.find("the device fell off"), std::string::npos);
  EXPECT_FALSE(engine.stats().alive);
  EXPECT_EQ(engine.submit(request(2, 3)).outcome, SubmitOutcome::kDead);
}

TEST(Engine, EndsOpenStreamsWhenDestroyed) {
  std::shared_ptr<TokenStream> stream;
  {
    Engine engine(std::make_unique<test::ScriptedRunner>(test::small_limits()), 10);
    stream = engine.submit(request(2, 30)).stream;
  }
  StreamEvent event = stream->poll();
  EXPECT_TRUE(event.finish == FinishReason::kCancelled || event.finish == FinishReason::kLength);
}

TEST(Engine, CallsNotifyAfterNews) {
  std::promise<void> called;
  std::atomic<bool> once{false};
  Engine engine(std::make_unique<test::ScriptedRunner>(test::small_limits()), 10);
  const Submission s = engine.submit(request(2, 1), [&] {
    if (!once.exchange(true)) called.set_value();
  });
  called.get_future().wait();
  EXPECT_FALSE(s.stream->poll().empty());
}

/// Writes down what it hears; a test reads it when it no longer listens.
struct RecordingListener final : LaunchListener {
  void on_launch(const LaunchNote& note) override { names.emplace_back(note.operation); }
  void on_step_begin(const StepNote& step) override { steps.push_back(step); }
  void on_step_end(SteadyTime) override { ++ended; }

  std::vector<std::string> names;
  std::vector<StepNote> steps;
  std::int64_t ended = 0;
};

TEST(Engine, TellsAListenerOfItsStepsAndOfTheHostsWork) {
  Engine engine(std::make_unique<test::ScriptedRunner>(test::small_limits()), 10);
  RecordingListener listener;
  finish(*engine.submit(request(2, 3)).stream);  // nobody listens
  engine.set_launch_listener(&listener);
  finish(*engine.submit(request(5, 3)).stream);
  engine.set_launch_listener(nullptr);
  finish(*engine.submit(request(2, 3)).stream);
  ASSERT_EQ(listener.steps.size(), 3u);
  EXPECT_EQ(listener.ended, 3);
  EXPECT_EQ(listener.steps[0].prefills, 1);
  EXPECT_EQ(listener.steps[0].prefill_rows, 5);
  EXPECT_EQ(listener.steps[0].decode_rows, 0);
  for (const std::size_t i : {1u, 2u}) {
    EXPECT_EQ(listener.steps[i].prefills, 0);
    EXPECT_EQ(listener.steps[i].prefill_rows, 0);
    EXPECT_EQ(listener.steps[i].decode_rows, 1);
  }
  const std::vector<std::string> thrice{"schedule", "stream", "schedule", "stream", "schedule", "stream"};
  EXPECT_EQ(listener.names, thrice);
}

TEST(Engine, SwitchesListenersOnlyBetweenSteps) {
  const auto gate = std::make_shared<Gate>();
  const auto inside = std::make_shared<std::promise<void>>();
  auto runner = std::make_unique<test::ScriptedRunner>(test::small_limits());
  runner->before_step = [gate, inside, once = false](const StepPlan&) mutable {
    if (!std::exchange(once, true)) inside->set_value();
    gate->opened.wait();
  };
  Engine engine(std::move(runner), 10);
  RecordingListener listener;
  const Submission s = engine.submit(request(2, 2));
  inside->get_future().wait();
  std::atomic<bool> switched{false};
  std::thread asker([&] {
    engine.set_launch_listener(&listener);
    switched = true;
  });
  EXPECT_FALSE(switched);  // the step is held
  gate->open.set_value();
  asker.join();
  EXPECT_EQ(finish(*s.stream).finish, FinishReason::kLength);
  engine.set_launch_listener(nullptr);
  EXPECT_EQ(listener.steps.size(), static_cast<std::size_t>(listener.ended));
  EXPECT_LE(listener.ended, 1);  // of two steps the first had begun before anybody listened
}

TEST(Engine, ADeadEngineStillLetsGoOfItsListener) {
  auto runner = std::make_unique<test::ScriptedRunner>(test::small_limits());
  runner->before_step = [](const StepPlan&) { throw Error(ErrorKind::kDevice, "the device fell off"); };
  Engine engine(std::move(runner), 10);
  RecordingListener listener;
  engine.set_launch_listener(&listener);
  finish(*engine.submit(request(2, 3)).stream);
  engine.set_launch_listener(nullptr);
  engine.set_launch_listener(&listener);
  EXPECT_EQ(listener.steps.size(), 1u);
  EXPECT_EQ(listener.ended, 0);
}

}  // namespace
}  // namespace nvllm::engine
