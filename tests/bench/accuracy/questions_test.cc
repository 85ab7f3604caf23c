#include "bench/accuracy/questions.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "support/scripted_server.h"

namespace nvllm::bench {
namespace {

using std::chrono::milliseconds;
using testing::always;
using testing::ScriptedReply;
using testing::ScriptedServer;

/// `count` questions "q1?"...; the right answer of each is its number.
QuestionSet numbered(std::int64_t count) {
  QuestionSet set{.file_name = "numbered.jsonl", .sha256 = "00", .n_total = count, .choice = {}, .questions = {}};
  for (std::int64_t i = 1; i <= count; ++i) {
    set.questions.push_back(
        {.index = i - 1, .question = "q" + std::to_string(i) + "?", .solution = "#### " + std::to_string(i)});
  }
  return set;
}

/// The number in the prompt of a numbered question.
int number_in(const Json& request) {
  const std::string prompt = request.at("prompt").get<std::string>();
  return std::stoi(prompt.substr(prompt.find('q') + 1));
}

/// Answers each numbered question rightly.
ScriptedReply right_answer(const Json& request) {
  return {.pieces = {"so ", "#### ", std::to_string(number_in(request))}};
}

AskOptions options_for(const ScriptedServer& server) {
  AskOptions options;
  options.target.url = server.url();
  options.label = "test";
  options.boot_id = "boot-1";
  options.deadline_s = 20;
  return options;
}

TEST(AskQuestions, ScoresRightAndWrongAnswersInOrder) {
  const ScriptedServer server([](const Json& request) {
    return number_in(request) == 2 ? ScriptedReply{.pieces = {"#### 7"}} : right_answer(request);
  });
  const auto results = ask_questions(numbered(3), options_for(server));
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].status, QuestionStatus::kOk);
  EXPECT_EQ(results[1].status, QuestionStatus::kWrong);
  EXPECT_EQ(results[1].pred, "7");
  EXPECT_EQ(results[1].gold, "2");
  EXPECT_EQ(results[2].prompt_index, 3);
  EXPECT_EQ(results[0].qid, "q0");
  EXPECT_EQ(results[0].completion_tokens, 3);
  EXPECT_EQ(results[0].prompt_tokens, 7);
  EXPECT_EQ(results[0].finish_reason, "stop");
  EXPECT_EQ(results[0].output_len, 9);
  EXPECT_EQ(results[0].token_ids_sha256.size(), 64u);
  EXPECT_TRUE(results[0].ttft_ms.has_value());
  EXPECT_TRUE(results[0].itl_p99_ms.has_value());
}

TEST(AskQuestions, SendsAGreedyRequestOfTheTemplate) {
  const ScriptedServer server(right_answer);
  AskOptions options = options_for(server);
  options.model = "m";
  static_cast<void>(ask_questions(numbered(1), options));
  const Json request = server.requests().at(0);
  EXPECT_EQ(request.at("prompt"), "Q: q1?\nA: Let me solve this step by step.\n");
  EXPECT_EQ(request.at("temperature"), 0);
  EXPECT_EQ(request.at("max_tokens"), 512);
  EXPECT_EQ(request.at("model"), "m");
  EXPECT_EQ(request.at("stop").size(), 2u);
}

TEST(AskQuestions, CutsOffAtTheDeadlineAlsoWhileTokensTrickle) {
  const ScriptedServer server(always({.pieces = std::vector<std::string>(1000, "x "), .delay = milliseconds(20)}));
  AskOptions options = options_for(server);
  options.deadline_s = 0.15;
  const auto results = ask_questions(numbered(1), options);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].status, QuestionStatus::kTimeout);
  EXPECT_TRUE(results[0].censored);
  EXPECT_FALSE(results[0].correct);
  EXPECT_GE(results[0].wall_time_s, 0.15);
  EXPECT_LT(results[0].wall_time_s, 2);  // a busy machine may be late, the scripted 20 s it is not
  EXPECT_TRUE(results[0].finish_reason.empty());
  EXPECT_TRUE(results[0].token_ids_sha256.empty());  // of half an answer: it would be no identity
  EXPECT_TRUE(results[0].pred.empty());
}

TEST(AskQuestions, WaitsUntilTheServerHasLetGoOfACancelledRequest) {
  ScriptedServer server([](const Json& request) {
    return number_in(request) == 1 ? ScriptedReply{.hang_after = 1} : right_answer(request);
  });
  server.let_go = milliseconds(300);
  AskOptions options = options_for(server);
  options.deadline_s = 0.2;
  const auto results = ask_questions(numbered(2), options);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].status, QuestionStatus::kTimeout);
  EXPECT_GE(results[0].drain_s, 0.25);
  EXPECT_EQ(results[1].status, QuestionStatus::kOk);
  EXPECT_EQ(server.most_running(), 1);
  EXPECT_GT(server.calls("/metrics"), 1);
}

TEST(AskQuestions, StopsWhereTheServerStaysBusy) {
  ScriptedServer server(always({.hang_after = 0}));
  server.let_go = std::chrono::seconds(30);
  AskOptions options = options_for(server);
  options.deadline_s = 0.1;
  options.drain_max_s = 0.2;
  std::optional<AskStop> stop;
  const auto results =
      ask_questions(numbered(3), options, {.on_stop = [&](AskStop why, const std::string&) { stop = why; }});
  EXPECT_EQ(results.size(), 1u);
  EXPECT_EQ(stop, AskStop::kNotDrained);
}

TEST(AskQuestions, WithoutMetricsAOneTokenRequestShowsThatTheServerIsFree) {
  const ScriptedServer server(
      [](const Json& request) { return ScriptedReply{.hang_after = request.at("max_tokens") == 1 ? -1 : 0}; },
      {.metrics = false});
  AskOptions options = options_for(server);
  options.features.metrics = false;
  options.deadline_s = 0.1;
  const auto results = ask_questions(numbered(1), options);
  EXPECT_EQ(results.at(0).status, QuestionStatus::kTimeout);
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST(AskQuestions, GivesUpWhenTooManyOfTheFirstAreCutOff) {
  const ScriptedServer server(always({.hang_after = 0}));
  AskOptions options = options_for(server);
  options.deadline_s = 0.03;
  std::string said;
  const auto results = ask_questions(numbered(20), options,
                                     {.on_stop = [&](AskStop why, const std::string&) { said = to_string(why); }});
  EXPECT_EQ(results.size(), 8u);
  EXPECT_EQ(said, "censored-by-speed");
}

TEST(Futility, LooksAtTheFirstQuestionsOnly) {
  std::vector<QuestionResult> results(12);
  for (std::size_t i = 0; i < results.size(); ++i) {
    results[i].prompt_index = static_cast<std::int64_t>(i) + 1;
    results[i].censored = i < 6;
  }
  EXPECT_TRUE(futile(results, {}));  // 6 of 8
  EXPECT_FALSE(futile(std::span(results).first(7), {}));
  results[5].censored = false;
  EXPECT_FALSE(futile(results, {}));
  EXPECT_FALSE(futile(results, {.after = 0}));
}

TEST(AskQuestions, NamesHttpErrorsGarbageAndBrokenStreams) {
  const ScriptedServer server([](const Json& request) -> ScriptedReply {
    switch (number_in(request)) {
      case 1:
        return {.status = 500, .body = R"({"error":{"message":"boom"}})"};
      case 2:
        return {.body = "{garbage"};
      case 3:
        return {.pieces = {"a", "b"}, .abort_after = 1};
      case 4:
        return {.pieces = {"a", "b"}, .event_after_first = "{garbage"};
      case 5:
        return {.pieces = {"I do not know"}};
      default:
        return right_answer(request);
    }
  });
  const auto results = ask_questions(numbered(6), options_for(server));
  ASSERT_EQ(results.size(), 6u);
  for (const std::size_t i : {0u, 1u, 2u, 3u}) {
    EXPECT_EQ(results[i].status, QuestionStatus::kHttpError) << i << results[i].output_tail;
    EXPECT_TRUE(results[i].output_tail.starts_with("ERROR: ")) << results[i].output_tail;
    EXPECT_FALSE(results[i].correct);
  }
  EXPECT_NE(results[0].output_tail.find("500"), std::string::npos);
  EXPECT_EQ(results[4].status, QuestionStatus::kNoAnswer);
  EXPECT_EQ(results[5].status, QuestionStatus::kOk);
}

TEST(AskQuestions, StopsWhenTheServerIsGone) {
  ScriptedServer* dying = nullptr;
  ScriptedServer server([&](const Json& request) {
    if (number_in(request) == 2) dying->die();
    return right_answer(request);
  });
  dying = &server;
  std::optional<AskStop> stop;
  const auto results = ask_questions(numbered(5), options_for(server),
                                     {.on_stop = [&](AskStop why, const std::string&) { stop = why; }});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[1].status, QuestionStatus::kServerDied);
  EXPECT_EQ(stop, AskStop::kServerDied);
}

TEST(AskQuestions, GoesOnFromEarlierResultsAndTriesErrorsAgain) {
  const ScriptedServer failing([](const Json& request) {
    return number_in(request) == 2 ? ScriptedReply{.status = 500, .body = "{}"} : right_answer(request);
  });
  AskOptions options = options_for(failing);
  options.kept = ask_questions(numbered(2), options);
  const ScriptedServer server(right_answer);
  options.target.url = server.url();
  const auto results = ask_questions(numbered(3), options);
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[1].status, QuestionStatus::kHttpError);
  EXPECT_EQ(results[2].prompt_index, 2);
  EXPECT_EQ(results[2].attempt, 2);
  EXPECT_EQ(results[2].status, QuestionStatus::kOk);
  EXPECT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(latest_attempts(results).size(), 3u);
  EXPECT_EQ(latest_attempts(results)[1].attempt, 2);

  QuestionSet others = numbered(3);
  others.questions[0].question = "another?";
  EXPECT_THROW(ask_questions(others, options), Error);
}

TEST(AskQuestions, WorksWithoutStreamingUsageAndTokenIds) {
  const ScriptedServer plain(
      right_answer,
      {.streaming = false, .stream_usage = false, .token_ids = false, .ignore_eos = false, .refuses_unknown = true});
  AskOptions options = options_for(plain);
  options.features = {.streaming = false, .stream_usage = false, .token_ids = false, .ignore_eos = false};
  auto results = ask_questions(numbered(1), options);
  EXPECT_EQ(results.at(0).status, QuestionStatus::kOk);
  EXPECT_FALSE(results[0].ttft_ms.has_value());
  EXPECT_TRUE(results[0].token_ids_sha256.empty());
  EXPECT_EQ(results[0].output_sha256.size(), 64u);

  // A server that streams and says nothing of tokens: events are counted.
  const ScriptedServer silent(right_answer, {.stream_usage = false, .token_ids = false});
  results = ask_questions(numbered(1), options_for(silent));
  EXPECT_EQ(results.at(0).completion_tokens, 3);
}

TEST(AskQuestions, AsksSeveralAtOnceAndOnlyThen) {
  const ScriptedServer server([](const Json& request) {
    ScriptedReply reply = right_answer(request);
    reply.delay = milliseconds(20);
    return reply;
  });
  AskOptions options = options_for(server);
  options.concurrency = 4;
  const auto results = ask_questions(numbered(8), options);
  ASSERT_EQ(results.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(results[i].prompt_index, static_cast<std::int64_t>(i) + 1);
  EXPECT_GT(server.most_running(), 1);
  EXPECT_LE(server.most_running(), 4);
}

TEST(AskQuestions, ChatPutsTheQuestionAsAMessage) {
  const ScriptedServer server(always({.pieces = {"#### ", "1"}}));
  AskOptions options = options_for(server);
  options.format = PromptTemplate::kChat;
  const auto results = ask_questions(numbered(1), options);
  EXPECT_EQ(results.at(0).status, QuestionStatus::kOk);
  EXPECT_EQ(server.calls("/v1/chat/completions"), 1);
}

TEST(AskQuestions, TheCallerCanStopAndItsFaultsComeBack) {
  const ScriptedServer server(right_answer);
  std::optional<AskStop> stop;
  const auto results = ask_questions(numbered(5), options_for(server),
                                     {.on_result = [](const QuestionResult&) { return AskMore::kNo; },
                                      .on_stop = [&](AskStop why, const std::string&) { stop = why; }});
  EXPECT_EQ(results.size(), 1u);
  EXPECT_EQ(stop, AskStop::kCancelled);
  EXPECT_THROW(ask_questions(numbered(5), options_for(server), {.on_result = [](const QuestionResult&) -> AskMore {
                               throw Error(ErrorKind::kBadFile, "disk full");
                             }}),
               Error);
}

TEST(AskQuestions, RefusesImpossibleOptions) {
  AskOptions options;
  options.target.url = "https://127.0.0.1:1";
  EXPECT_THROW(ask_questions(numbered(1), options), Error);
  options.target.url = "http://127.0.0.1:1";
  options.concurrency = 0;
  EXPECT_THROW(ask_questions(numbered(1), options), Error);
}

}  // namespace
}  // namespace nvllm::bench
