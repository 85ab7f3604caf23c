#include "bench/load/timed_post.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/load/generation.h"
#include "support/scripted_server.h"

namespace nvllm::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::always;
using testing::ScriptedServer;

const std::string kBody = R"({"prompt":"x","max_tokens":9,"stream":true})";

PostResult post(const std::string& url, milliseconds time, std::vector<double>* stamps = nullptr,
                const char* path = "/v1/completions") {
  const auto begin = steady_clock::now();
  return timed_post({.url = url, .api_key = ""}, path, kBody, begin + time, [&](std::string_view, SteadyTime at) {
    if (stamps != nullptr) stamps->push_back(seconds_between(begin, at));
  });
}

TEST(TimedPost, StampsEachEventAsItArrives) {
  // A reader that is kept waiting may find several events at once: one undisturbed try of many is enough.
  bool apart = false;
  for (int attempt = 0; attempt < 20 && !apart; ++attempt) {
    const ScriptedServer server(always({.pieces = {"a", "b", "c"}, .delay = milliseconds(20)}));
    std::vector<double> stamps;
    const PostResult result = post(server.url(), milliseconds(20'000), &stamps);
    EXPECT_EQ(result.end, PostEnd::kComplete);
    EXPECT_EQ(result.status, 200);
    ASSERT_EQ(stamps.size(), 4u);  // the last one is [DONE]
    EXPECT_GE(stamps[0], 0.019);   // never before it was sent
    EXPECT_GE(stamps[1], 0.039);
    EXPECT_GE(stamps[2], 0.059);
    EXPECT_GE(result.done - result.sent, milliseconds(59));  // the whole answer, not only its head
    apart = stamps[1] - stamps[0] >= 0.010 && stamps[2] - stamps[1] >= 0.010;
  }
  EXPECT_TRUE(apart);
}

TEST(TimedPost, EndsAtTheDeadlineWhetherNothingOrSomethingCame) {
  for (const int pieces : {0, 1}) {
    const ScriptedServer server(always({.hang_after = pieces}));
    const PostResult result = post(server.url(), milliseconds(80));
    EXPECT_EQ(result.end, PostEnd::kDeadline) << pieces;
    EXPECT_GE(seconds_between(result.sent, result.done), 0.079);
    EXPECT_LT(seconds_between(result.sent, result.done), 2);
    EXPECT_NE(result.error.find("within 0.0"), std::string::npos) << result.error;
  }
}

TEST(TimedPost, TellsRefusedFromBroken) {
  EXPECT_EQ(post("http://127.0.0.1:1", milliseconds(5000)).end, PostEnd::kRefused);
  const ScriptedServer server(always({.pieces = {"a", "b"}, .abort_after = 1}));
  EXPECT_EQ(post(server.url(), milliseconds(20'000)).end, PostEnd::kBroke);
}

TEST(TimedPost, KeepsABodyThatIsNoStreamAndThePathOfTheUrl) {
  const ScriptedServer server(always({.status = 503, .body = "later"}));
  const PostResult busy = post(server.url() + "/", milliseconds(20'000));
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.body, "later");
  EXPECT_EQ(post(server.url() + "/prefix", milliseconds(20'000)).status, 404);
  EXPECT_EQ(server.calls("/prefix/v1/completions"), 1);
  EXPECT_THROW(post("ftp://127.0.0.1", milliseconds(10)), Error);
}

TEST(Generation, CountsThinkingAsArrivedTokensButNotAsAnswer) {
  const ScriptedServer server(
      always({.pieces = {"a", "b"}, .event_after_first = R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})"}));
  GenerationRequest request{.endpoint = "/v1/chat/completions"};
  request.fields["messages"] = Json::array();
  const Generation answer = generate({.url = server.url(), .api_key = ""}, request, {}, 20);
  EXPECT_EQ(answer.end, GenerationEnd::kComplete);
  EXPECT_EQ(answer.text, "ab");
  EXPECT_EQ(answer.arrivals_s.size(), 3u);
}

TEST(Generation, AStreamWithoutAnEndIsNoWholeAnswer) {
  const ScriptedServer server(always({.finish_reason = "", .event_after_first = R"({"error":{"message":"oom"}})"}));
  GenerationRequest request;
  request.fields["prompt"] = "x";
  const Generation answer = generate({.url = server.url(), .api_key = ""}, request, {}, 20);
  EXPECT_EQ(answer.end, GenerationEnd::kHttpError);
  EXPECT_NE(answer.error.find("oom"), std::string::npos);
}

}  // namespace
}  // namespace nvllm::bench
