#include "bench/run/burst.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/error.h"
#include "base/hashing.h"
#include "support/scripted_server.h"

namespace nvllm::bench {
namespace {

using nvllm::testing::ScriptedReply;
using nvllm::testing::ScriptedServer;

BurstTarget target_of(const ScriptedServer& server) {
  return {.target = {.url = server.url(), .api_key = ""},
          .model = "",
          .features = {.streaming = false, .stream_usage = false}};
}

ScriptedReply tokens(std::size_t count) { return {.pieces = std::vector<std::string>(count, "x")}; }

TEST(Burst, SendsItsRequestsOneAfterTheOtherAndHashesTheTokens) {
  ScriptedServer server(always(tokens(3)));
  const BurstTarget client = target_of(server);
  int before = 0;
  const BurstTimes times =
      run_burst(client, "p", {.requests = 4, .max_tokens = 3}, [&] { ++before; });
  EXPECT_EQ(times.wall_s.size(), 4u);
  EXPECT_EQ(before, 4);
  EXPECT_EQ(server.most_running(), 1);
  EXPECT_EQ(times.prompt_tokens, 7);
  EXPECT_EQ(times.token_ids_sha256, sha256_hex(std::string_view("100\n101\n102\n")));
  for (const Json& request : server.requests()) {
    EXPECT_EQ(request.at("ignore_eos"), true);
    EXPECT_EQ(request.at("max_tokens"), 3);
    EXPECT_EQ(request.at("temperature"), 0);
  }
}

TEST(Burst, RefusesOtherNumbersOfTokensErrorsAndNonsense) {
  for (const ScriptedReply& reply :
       {tokens(2), ScriptedReply{.status = 500, .body = "{}"}, ScriptedReply{.body = "no JSON"},
        ScriptedReply{.body = R"({"usage":{"completion_tokens":3,"prompt_tokens":1}})"}}) {
    ScriptedServer server(always(reply));
    const BurstTarget client = target_of(server);
    try {
      run_burst(client, "p", {.requests = 1, .max_tokens = 3}, [] {});
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
    }
  }
}

TEST(Burst, WarmsUpByTokensAndNotByRequests) {
  ScriptedServer server(always(tokens(100)));
  const BurstTarget client = target_of(server);
  warm_up(client, "p", 25, 10, [] {});
  std::int64_t sum = 0;
  for (const Json& request : server.requests()) sum += request.at("max_tokens").get<std::int64_t>();
  EXPECT_EQ(sum, 25);
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST(Burst, TimePerTokenIsTheSlopeBetweenTheLengths) {
  // 5 ms that every request pays, 2 ms a token; one request was interrupted for a second.
  BurstTimes longer, shorter;
  longer.wall_s = {0.065, 1.065, 0.065};
  longer.tokens = {30, 30, 30};
  shorter.wall_s = {0.025, 0.025, 0.025};
  shorter.tokens = {10, 10, 10};
  ASSERT_TRUE(wall_ms_per_token(longer, shorter).has_value());
  EXPECT_NEAR(*wall_ms_per_token(longer, shorter), 2.0, 1e-9);
  longer.tokens = {10, 10, 10};
  EXPECT_FALSE(wall_ms_per_token(longer, shorter).has_value());
}

TEST(Burst, WithoutIgnoreEosLengthsAreCountedAndNotDemanded) {
  ScriptedServer server(always(tokens(2)));
  BurstTarget target = target_of(server);
  target.features.ignore_eos = target.features.token_ids = false;
  const BurstTimes times = run_burst(target, "p", {.requests = 2, .max_tokens = 9}, [] {});
  EXPECT_EQ(times.tokens, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(times.token_ids_sha256, "");
  EXPECT_FALSE(server.requests()[0].contains("ignore_eos"));
}

TEST(Burst, CountsAnswersThatDifferFromTheFirst) {
  std::atomic<int> count{0};
  ScriptedServer server([&](const Json&) { return tokens(++count == 2 ? 2 : 3); });
  BurstTarget target = target_of(server);
  target.features.ignore_eos = false;
  EXPECT_EQ(run_burst(target, "p", {.requests = 3, .max_tokens = 9}, [] {}).other_answers, 1);
}

TEST(Burst, ARequestThatHangsIsOverAtItsDeadline) {
  ScriptedServer server(
      [](const Json&) { return ScriptedReply{.pieces = {"a"}, .hang_after = 0}; });
  BurstTarget target = target_of(server);
  target.deadline_s = 0.2;
  EXPECT_THROW(run_burst(target, "p", {.requests = 1, .max_tokens = 9}, [] {}), Error);
}

}  // namespace
}  // namespace nvllm::bench
