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

ScriptedReply tokens(std::size_t count) { return {.pieces = std::vector<std::string>(count, "x")}; }

TEST(Burst, SendsItsRequestsOneAfterTheOtherAndHashesTheTokens) {
  ScriptedServer server(always(tokens(3)));
  net::HttpClient client(server.url());
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
    net::HttpClient client(server.url());
    try {
      run_burst(client, "p", {.requests = 1, .max_tokens = 3}, [] {});
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
    }
  }
}

TEST(Burst, RefusesOtherTokensForTheSamePromptUnlessTheLegAllowsThem) {
  for (const Repeats repeats : {Repeats::kMustAgree, Repeats::kMayDiffer}) {
    std::atomic<int> asked{0};
    // The scripted server numbers its tokens from 100 on; a body of its own stands for other ones.
    ScriptedServer server([&](const Json&) {
      return ScriptedReply{
          .body = fmt::format(R"({{"usage":{{"completion_tokens":1,"prompt_tokens":7}},)"
                              R"("choices":[{{"token_ids":[{}]}}]}})",
                              100 + asked++)};
    });
    net::HttpClient client(server.url());
    const auto run = [&] {
      return run_burst(
          client, "p", {.requests = 3, .max_tokens = 1}, [] {}, repeats);
    };
    if (repeats == Repeats::kMustAgree) {
      EXPECT_THROW(run(), Error);
    } else {
      EXPECT_EQ(run().token_ids_sha256, token_ids_hash({100})) << "the first answer's";
    }
  }
}

TEST(Burst, WarmsUpByTokensAndNotByRequests) {
  ScriptedServer server(always(tokens(100)));
  net::HttpClient client(server.url());
  warm_up(client, "p", 25, 10, [] {});
  std::int64_t sum = 0;
  for (const Json& request : server.requests()) sum += request.at("max_tokens").get<std::int64_t>();
  EXPECT_EQ(sum, 25);
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST(Burst, TimePerTokenIsTheSlopeBetweenTheLengths) {
  // 5 ms that every request pays, 2 ms a token; one request was interrupted for a second.
  const BurstTimes longer{
      .wall_s = {0.065, 1.065, 0.065}, .prompt_tokens = 1, .token_ids_sha256 = {}};
  const BurstTimes shorter{
      .wall_s = {0.025, 0.025, 0.025}, .prompt_tokens = 1, .token_ids_sha256 = {}};
  EXPECT_NEAR(wall_ms_per_token(longer, 30, shorter, 10), 2.0, 1e-9);
}

}  // namespace
}  // namespace nvllm::bench
