// Replies with thoughts and calls, from a scripted engine to what a client has of them.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "support/chat_client.h"
#include "support/scripted_runner.h"

namespace nvllm::server {
namespace {

using namespace nvllm::testing;  // NOLINT: half of this file is from there

constexpr std::int64_t kContext = 4096;

std::unique_ptr<ServedApi> serve(const Transcript& transcript) {
  auto api = std::make_unique<ServedApi>(Start::kLoading);
  api->load_template(kSpeakingTemplate, nvllm::testing::speech_of(transcript));
  api->generator().limits_for_setup().max_model_len = kContext;
  api->generator().set_script(says(transcript.text));
  return api;
}

TEST(ChatReplies, AreTheSameWholeAndStreamedByteByByte) {
  for (const Transcript& transcript : all_transcripts()) {
    SCOPED_TRACE(transcript.name);
    const auto api = serve(transcript);
    const Json answer = api->post(kChatPath, body_of(transcript));
    ASSERT_TRUE(answer.contains("choices")) << dump_json(answer);
    const SeenChoice whole = seen_in_message(answer["choices"][0]);
    EXPECT_EQ(whole.reply, transcript.seen);
    EXPECT_EQ(whole.finish, finish_of(transcript));
    const SeenChoice stream = streamed(*api, body_of(transcript));
    EXPECT_EQ(stream.reply, transcript.seen);
    EXPECT_EQ(stream.finish, finish_of(transcript));
  }
}

/// News of several tokens at once, as a busy server has them, cut at every place.
TEST(ChatReplies, AreTheSameHoweverTokensArriveTogether) {
  for (const Transcript& transcript : all_transcripts()) {
    SCOPED_TRACE(transcript.name);
    const auto api = serve(transcript);
    const std::vector<std::int32_t> ids = byte_ids(transcript.text);
    for (std::size_t at = 0; at <= ids.size(); ++at) {
      api->generator().set_script([&](const GenerationRequest&) {
        const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(at);
        std::vector<StreamEvent> events{tokens_event({ids.begin(), middle})};
        std::vector<std::int32_t> rest(middle, ids.end());
        const bool cut = transcript.end == ReplyEnd::kCutOff;
        if (!cut) rest.push_back(kEndId);
        events.push_back(tokens_event(rest, cut ? FinishReason::kLength : FinishReason::kStop));
        return events;
      });
      const SeenChoice stream = streamed(*api, body_of(transcript));
      ASSERT_EQ(stream.reply, transcript.seen) << "cut at " << at;
      ASSERT_EQ(stream.finish, finish_of(transcript));
    }
  }
}

/// An engine whose model is a script: scheduler, streams and threads are the real ones.
std::unique_ptr<ServedApi> serve_through_engine(const SpeechOptions& speech,
                                                nvllm::test::ScriptedRunner::Script script) {
  engine::EngineLimits limits = nvllm::test::small_limits();
  limits.max_model_len = kContext;
  limits.max_num_batched_tokens = kContext;
  limits.kv_block_count = 4 * kContext / limits.kv_block_tokens;
  limits.eos_ids = {kEndId};
  auto api = std::make_unique<ServedApi>(Start::kLoading);
  auto runner = std::make_unique<nvllm::test::ScriptedRunner>(limits, std::move(script));
  api->load(
      std::make_unique<EngineGenerator>(std::make_unique<engine::Engine>(std::move(runner), 0)),
      make_thinking_tokenizer(), tokenizer::ChatTemplate(kSpeakingTemplate), speech);
  return api;
}

TEST(ChatReplies, AreTheSameThroughTheEngine) {
  for (const Transcript& transcript : all_transcripts()) {
    SCOPED_TRACE(transcript.name);
    const auto api = serve_through_engine(
        nvllm::testing::speech_of(transcript),
        [text = transcript.text](const engine::SampleTask& task) {
          const std::size_t at = task.output.size();
          return at < text.size() ? static_cast<std::int32_t>(static_cast<unsigned char>(text[at]))
                                  : kEndId;
        });
    EXPECT_EQ(streamed(*api, body_of(transcript)).reply, transcript.seen);
    EXPECT_EQ(seen_in_message(api->post(kChatPath, body_of(transcript))["choices"][0]).reply,
              transcript.seen);
  }
}

/// A model that thinks until it is stopped, and then answers.
std::int32_t think_on(const engine::SampleTask& task) {
  const auto end = std::find(task.output.begin(), task.output.end(), kThinkCloseId);
  if (end == task.output.end()) return 'm';
  const auto said = task.output.end() - end - 1;
  return said < 2 ? (said == 0 ? '\n' : 'A') : kEndId;
}

TEST(ChatReplies, HaveNoMoreThoughtsThanTheBudget) {
  const auto api =
      serve_through_engine({.reasoning_parser = "think", .tool_call_parser = "none"}, think_on);
  for (const int budget : {0, 1, 9}) {
    Json body;
    body["messages"] = Json::array({Json{{"role", "user"}, {"content", "hi"}}});
    body["thinking_token_budget"] = budget;
    body["chat_template_kwargs"]["think"] = true;
    body["n"] = 2;
    const Json answer = api->post(kChatPath, body);
    ASSERT_TRUE(answer.contains("choices")) << dump_json(answer);
    for (const Json& choice : answer["choices"]) {
      EXPECT_EQ(seen_in_message(choice).reply,
                (SeenReply{std::string(static_cast<std::size_t>(budget), 'm'), "A", {}}));
    }
    EXPECT_EQ(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], 2 * budget);
  }
}

const Transcript& named(const std::vector<Transcript>& all, std::string_view name) {
  return *std::find_if(all.begin(), all.end(), [&](const Transcript& t) { return t.name == name; });
}

TEST(ChatReplies, HaveTheShapeThatClientsKnow) {
  const auto all = hermes_transcripts();
  const Transcript& transcript = named(all, "thoughts, then a call");
  const auto api = serve(transcript);
  const Json answer = api->post(kChatPath, body_of(transcript));
  Json message = answer["choices"][0]["message"];
  const auto id = message["tool_calls"][0]["id"].get<std::string>();
  EXPECT_TRUE(id.starts_with("call_")) << id;
  message["tool_calls"][0]["id"] = "call_x";
  EXPECT_EQ(
      dump_json(message),
      R"({"role":"assistant","content":null,"reasoning":"I need <tool_call> here.",)"
      R"("reasoning_content":"I need <tool_call> here.",)"
      R"("tool_calls":[{"id":"call_x","type":"function","function":{"name":"now","arguments":"{}"}}]})");
}

TEST(ChatReplies, CountTheTokensOfThoughts) {
  ServedApi api(Start::kLoading);
  api.load_template(kSpeakingTemplate, {.reasoning_parser = "think", .tool_call_parser = "none"});
  Json body;
  body["messages"] = Json::array({Json{{"role", "user"}, {"content", "hi"}}});
  const auto counts = [&](bool inside, std::vector<std::int32_t> ids) {
    api.generator().set_script([=](const GenerationRequest&) {
      return std::vector<StreamEvent>{tokens_event(ids, FinishReason::kStop)};
    });
    body["chat_template_kwargs"]["think"] = inside;
    const Json answer = api.post(kChatPath, body);
    return std::pair(answer["usage"]["completion_tokens_details"]["reasoning_tokens"].get<int>(),
                     dump_json(answer["choices"][0]["message"]));
  };
  // The closing tag is a special token here, and read all the same.
  EXPECT_EQ(
      counts(true, {'a', 'b', kThinkCloseId, 'c', kEndId}),
      std::pair(
          2,
          std::string(
              R"({"role":"assistant","content":"c","reasoning":"ab","reasoning_content":"ab"})")));
  EXPECT_EQ(counts(false, {kThinkOpenId, 'a', 'b', 'c', kThinkCloseId, 'd', kEndId}).first, 3);
  EXPECT_EQ(counts(false, {'a', 'b', kEndId}),
            std::pair(0, std::string(R"({"role":"assistant","content":"ab"})")));
}

TEST(ChatReplies, LeaveThoughtsOutWhereTheyAreNotWanted) {
  const auto all = hermes_transcripts();
  const Transcript& transcript = named(all, "thoughts, then a call");
  const auto api = serve(transcript);
  Json body = body_of(transcript);
  body["include_reasoning"] = false;
  SeenReply seen = transcript.seen;
  seen.reasoning.clear();
  EXPECT_EQ(seen_in_message(api->post(kChatPath, body)["choices"][0]).reply, seen);
  EXPECT_EQ(streamed(*api, body).reply, seen);
}

TEST(ChatReplies, KeepTheCallsOfSeveralAnswersApart) {
  const auto all = xml_transcripts();
  const Transcript& transcript = named(all, "no parameters, two calls");
  const auto api = serve(transcript);
  Json body = body_of(transcript);
  body["n"] = 3;
  body["stream"] = true;
  StreamClient client(3);
  for (const std::string& event : api->stream(kChatPath, body)) client.take(event);
  std::vector<std::string> ids;
  for (const SeenChoice& choice : client.seen()) {
    EXPECT_EQ(choice.reply, transcript.seen);
    EXPECT_EQ(choice.finish, "tool_calls");
    ids.insert(ids.end(), choice.call_ids.begin(), choice.call_ids.end());
  }
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()) - ids.begin(), 6);
}

TEST(ChatReplies, ReportEveryTokensLogprobOnce) {
  const auto all = hermes_transcripts();
  const Transcript& transcript = named(all, "thoughts, then a call");
  const auto api = serve(transcript);
  Json body = body_of(transcript);
  body["logprobs"] = true;
  body["return_token_ids"] = true;
  const Json answer = api->post(kChatPath, body);
  EXPECT_EQ(answer["choices"][0]["logprobs"]["content"].size(), transcript.text.size() + 1);
  body["stream"] = true;
  std::size_t logprobs = 0, ids = 0;
  for (const std::string& event : api->stream(kChatPath, body)) {
    if (event == "[DONE]") continue;
    const Json choice = parse_json(event, "chunk")["choices"][0];
    if (!choice["logprobs"].is_null()) logprobs += choice["logprobs"]["content"].size();
    if (choice.contains("token_ids")) ids += choice["token_ids"].size();
  }
  EXPECT_EQ(logprobs, transcript.text.size() + 1);
  EXPECT_EQ(ids, transcript.text.size() + 1);
}

TEST(ChatReplies, EndAtStopStringsInAllOfTheText) {
  const auto all = hermes_transcripts();
  const Transcript& transcript = named(all, "thoughts, then text");
  const auto api = serve(transcript);
  Json body = body_of(transcript);
  body["stop"] = "Hello";
  const Json spoken = api->post(kChatPath, body)["choices"][0];
  EXPECT_EQ(seen_in_message(spoken).reply, (SeenReply{"Hm, <b>.", "", {}}));
  EXPECT_EQ(spoken["stop_reason"], "Hello");
  body["stop"] = "<b>";
  EXPECT_EQ(seen_in_message(api->post(kChatPath, body)["choices"][0]).reply,
            (SeenReply{"Hm, ", "", {}}));
}

TEST(ChatReplies, AreNotReadWhereNothingIsToBeFound) {
  ServedApi api(Start::kLoading);
  api.load_template(kSpeakingTemplate, {.reasoning_parser = "none", .tool_call_parser = "hermes"});
  api.generator().set_script(says("<think>a</think><tool_call>{\"name\":\"now\"}</tool_call>"));
  Json body;
  body["messages"] = Json::array({Json{{"role", "user"}, {"content", "hi"}}});
  for (const bool with_tools : {false, true}) {
    if (with_tools) body["tools"] = transcript_tools();
    if (with_tools) body["tool_choice"] = "none";
    const Json answer = api.post(kChatPath, body);
    EXPECT_EQ(
        dump_json(answer["choices"][0]["message"]),
        R"({"role":"assistant","content":"<think>a</think><tool_call>{\"name\":\"now\"}</tool_call>"})");
    EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
    EXPECT_FALSE(answer["usage"].contains("completion_tokens_details"));
  }
  EXPECT_EQ(api.generator().requests().at(0).prompt, api.generator().requests().at(1).prompt);
}

}  // namespace
}  // namespace nvllm::server
