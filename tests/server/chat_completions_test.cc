#include <gtest/gtest.h>

#include "support/served_api.h"

namespace nvllm::server {
namespace {

using nvllm::testing::byte_ids;
using nvllm::testing::kTurnEndId;
using nvllm::testing::kTurnStartId;
using nvllm::testing::says;
using nvllm::testing::ServedApi;

constexpr const char* kPath = "/v1/chat/completions";

Json user_says(const Json& content) {
  Json body;
  body["messages"] = Json::array({Json{{"role", "user"}, {"content", content}}});
  return body;
}

/// The ids of a rendered chat: control tokens between plain bytes.
std::vector<std::int32_t> turn(const std::string& text, bool ended) {
  std::vector<std::int32_t> ids{kTurnStartId};
  for (const std::int32_t id : byte_ids(text)) ids.push_back(id);
  if (ended) ids.insert(ids.end(), {kTurnEndId, '\n'});
  return ids;
}

std::vector<std::int32_t> chat_ids(const std::string& content) {
  std::vector<std::int32_t> ids = turn("user\n" + content, true);
  for (const std::int32_t id : turn("assistant\n", false)) ids.push_back(id);
  return ids;
}

TEST(ChatCompletions, RendersTheTemplateAndAnswers) {
  ServedApi api;
  const Json answer = api.post(kPath, user_says("hi"));
  EXPECT_EQ(api.generator().requests().at(0).prompt, chat_ids("hi"));
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["model"], "tiny");
  const Json choice = answer["choices"][0];
  EXPECT_EQ(dump_json(choice["message"]), R"({"role":"assistant","content":"hello"})");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 6);
}

TEST(ChatCompletions, NeverTurnsAMessageIntoControlTokens) {
  ServedApi api;
  api.post(kPath, user_says("a<|im_end|>b"));
  EXPECT_EQ(api.generator().requests().at(0).prompt, chat_ids("a<|im_end|>b"));
}

TEST(ChatCompletions, JoinsTextParts) {
  ServedApi api;
  api.post(kPath, user_says(Json::array({Json{{"type", "text"}, {"text", "one"}},
                                         Json{{"type", "text"}, {"text", "two"}}})));
  EXPECT_EQ(api.generator().requests().at(0).prompt, chat_ids("one\ntwo"));
}

TEST(ChatCompletions, MayFillTheContextUnlessToldOtherwise) {
  ServedApi api;
  Json body = user_says("hi");
  api.post(kPath, body);
  const auto prompt = static_cast<std::int64_t>(chat_ids("hi").size());
  EXPECT_EQ(api.generator().requests().at(0).max_tokens, 512 - prompt);
  body["max_tokens"] = 7;
  api.post(kPath, body);
  EXPECT_EQ(api.generator().requests().at(1).max_tokens, 7);
  body["max_completion_tokens"] = 3;
  api.post(kPath, body);
  EXPECT_EQ(api.generator().requests().at(2).max_tokens, 3);
}

TEST(ChatCompletions, LeavesTheAnswerUnopenedWhenAsked) {
  ServedApi api;
  Json body = user_says("hi");
  body["add_generation_prompt"] = false;
  api.post(kPath, body);
  EXPECT_EQ(api.generator().requests().at(0).prompt, turn("user\nhi", true));
}

TEST(ChatCompletions, ReportsLogprobsWithBytes) {
  ServedApi api;
  api.generator().set_script(says("é"));
  Json body = user_says("hi");
  body["logprobs"] = true;
  body["top_logprobs"] = 1;
  body["max_tokens"] = 1;
  const Json content = api.post(kPath, body)["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 1u);
  EXPECT_EQ(content[0]["logprob"], -0.5);
  EXPECT_EQ(dump_json(content[0]["bytes"]), "[195]");
  EXPECT_EQ(dump_json(content[0]["top_logprobs"]),
            R"([{"token":"A","logprob":-1.0,"bytes":[65]}])");
}

TEST(ChatCompletions, StreamsRoleThenTextThenFinishThenUsage) {
  ServedApi api;
  Json body = user_says("hi");
  body["stream"] = true;
  body["stream_options"]["include_usage"] = true;
  const auto events = api.stream(kPath, body);
  ASSERT_GE(events.size(), 4u);
  const Json first = parse_json(events.front(), "chunk");
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(dump_json(first["choices"][0]["delta"]), R"({"role":"assistant","content":""})");
  std::string text;
  for (std::size_t i = 1; i + 2 < events.size(); ++i) {
    const Json choice = parse_json(events[i], "chunk")["choices"][0];
    EXPECT_FALSE(choice["delta"].contains("role"));
    text += choice["delta"].value("content", "");
    const bool last = i + 3 == events.size();
    EXPECT_EQ(choice["finish_reason"].is_null(), !last);
  }
  EXPECT_EQ(text, "hello");
  const Json usage = parse_json(events[events.size() - 2], "chunk");
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"]["total_tokens"].get<std::size_t>(), chat_ids("hi").size() + 6);
  EXPECT_EQ(events.back(), "[DONE]");
}

TEST(ChatCompletions, StreamsSeveralChoicesEachWithItsRole) {
  ServedApi api;
  Json body = user_says("hi");
  body["stream"] = true;
  body["n"] = 3;
  body["return_token_ids"] = true;
  std::vector<int> roles(3), ends(3), ids(3);
  for (const std::string& event : api.stream(kPath, body)) {
    if (event == "[DONE]") continue;
    const Json choice = parse_json(event, "chunk")["choices"][0];
    const auto index = choice["index"].get<std::size_t>();
    roles.at(index) += choice["delta"].contains("role") ? 1 : 0;
    ends.at(index) += choice["finish_reason"].is_null() ? 0 : 1;
    ids.at(index) +=
        choice.contains("token_ids") ? static_cast<int>(choice["token_ids"].size()) : 0;
  }
  EXPECT_EQ(roles, (std::vector<int>{1, 1, 1}));
  EXPECT_EQ(ends, (std::vector<int>{1, 1, 1}));
  EXPECT_EQ(ids, (std::vector<int>{6, 6, 6}));
}

}  // namespace
}  // namespace nvllm::server
