#include <gtest/gtest.h>

#include "support/raw_socket.h"
#include "support/served_api.h"

namespace nvllm::server {
namespace {

using nvllm::testing::byte_ids;
using nvllm::testing::eventually;
using nvllm::testing::FinishReason;
using nvllm::testing::kEndId;
using nvllm::testing::raw_post;
using nvllm::testing::RawSocket;
using nvllm::testing::says;
using nvllm::testing::ServedApi;
using nvllm::testing::tokens_event;

constexpr const char* kPath = "/v1/completions";

TEST(Completions, AnswersAPrompt) {
  ServedApi api;
  const Json answer = api.post(kPath, {{"model", "tiny"}, {"prompt", "ab"}});
  EXPECT_TRUE(answer["id"].get<std::string>().starts_with("cmpl-"));
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_EQ(answer["model"], "tiny");
  EXPECT_GT(answer["created"].get<std::int64_t>(), 0);
  const Json choice = answer["choices"].at(0);
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["text"], "hello");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_TRUE(choice["stop_reason"].is_null());
  EXPECT_TRUE(choice["logprobs"].is_null());
  EXPECT_EQ(dump_json(answer["usage"]),
            R"({"prompt_tokens":2,"total_tokens":8,"completion_tokens":6,"prompt_tokens_details":{"cached_tokens":0}})");
}

TEST(Completions, TellsHowMuchOfThePromptsWasCached) {
  ServedApi api;
  api.generator().set_script([](const engine::GenerationRequest& request) {
    engine::StreamEvent event = nvllm::testing::tokens_event({'x', nvllm::testing::kEndId}, engine::FinishReason::kStop);
    event.cached_tokens = static_cast<std::int64_t>(request.prompt.size()) - 1;
    return std::vector<engine::StreamEvent>{event};
  });
  // Two prompts of three and five tokens, each sampled twice: each prompt counts once.
  const Json answer = api.post(kPath, {{"prompt", {"abc", "abcde"}}, {"n", 2}});
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 8);
  EXPECT_EQ(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 6);
}

TEST(Completions, TakesAPriorityOnlyWhereTheServerGoesByIt) {
  ServedApi api;
  int status = 0;
  api.post(kPath, {{"prompt", "ab"}, {"priority", 0}}, &status);
  EXPECT_EQ(status, 200);
  const Json refusal = api.post(kPath, {{"prompt", "ab"}, {"priority", -1}}, &status);
  EXPECT_EQ(status, 400);
  EXPECT_EQ(refusal["error"]["param"], "priority");
  api.generator().limits_for_setup().priority_scheduling = true;
  api.post(kPath, {{"prompt", "ab"}, {"priority", -1}}, &status);
  EXPECT_EQ(status, 200);
  EXPECT_EQ(api.generator().requests().back().priority, -1);
}

TEST(Completions, SharesCachedBeginningsByKeyAndByTheClientsSalt) {
  ServedApi api;
  const auto salt = [&](const std::string& key, const std::string& own) {
    Json body{{"prompt", "ab"}};
    if (!own.empty()) body["cache_salt"] = own;
    net::HttpClientOptions options;
    if (!key.empty()) options.headers = {{"Authorization", "Bearer " + key}};
    EXPECT_EQ(net::HttpClient(api.url(), options).post(kPath, dump_json(body)).status, 200);
    return api.generator().requests().back().cache_salt;
  };
  EXPECT_EQ(salt("", ""), salt("", ""));
  EXPECT_EQ(salt("one", ""), salt("one", ""));
  EXPECT_NE(salt("one", ""), salt("two", ""));
  EXPECT_NE(salt("one", ""), salt("", ""));
  EXPECT_NE(salt("one", "a"), salt("one", ""));
  EXPECT_NE(salt("one", "a"), salt("two", "a"));
  int status = 0;
  api.post(kPath, {{"prompt", "ab"}, {"cache_salt", std::string(257, 'a')}}, &status);
  EXPECT_EQ(status, 400);
}

TEST(Completions, HandsEveryFieldToTheEngine) {
  ServedApi api;
  api.post(kPath, parse_json(R"({"prompt":[1,2,3],"max_tokens":20,"min_tokens":2,"temperature":0.5,
      "top_p":0.9,"top_k":40,"min_p":0.1,"seed":-3,"stop_token_ids":[7],"presence_penalty":1,
      "frequency_penalty":-1,"repetition_penalty":1.5,"logit_bias":{"5":-100,"6":2.5},"logprobs":3})",
                             "test"));
  const engine::GenerationRequest request = api.generator().requests().at(0);
  EXPECT_EQ(request.prompt, (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(request.max_tokens, 20);
  EXPECT_EQ(request.min_tokens, 2);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_p, 0.9);
  EXPECT_EQ(request.sampling.top_k, 40);
  EXPECT_EQ(request.sampling.min_p, 0.1);
  EXPECT_EQ(request.sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(request.stop_ids, (std::vector<std::int32_t>{7, kEndId}));
  EXPECT_EQ(request.sampling.presence_penalty, 1);
  EXPECT_EQ(request.sampling.frequency_penalty, -1);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.5);
  EXPECT_EQ(request.sampling.top_logprobs, 3);
  EXPECT_EQ(request.sampling.prompt_logprobs, -1);
  const std::vector<std::pair<std::int32_t, float>> bias = {{5, -100.0f}, {6, 2.5f}};
  EXPECT_EQ(request.sampling.logit_bias, bias);
}

TEST(Completions, UsesTheDefaultsOfVllm) {
  ServedApi api;
  api.post(kPath, {{"prompt", "x"}});
  const engine::GenerationRequest request = api.generator().requests().at(0);
  EXPECT_EQ(request.max_tokens, 16);
  EXPECT_EQ(request.min_tokens, 0);
  EXPECT_EQ(request.sampling.temperature, 1.0);
  EXPECT_EQ(request.sampling.top_k, 0);
  EXPECT_FALSE(request.sampling.seed.has_value());
  EXPECT_EQ(request.sampling.top_logprobs, -1);
  EXPECT_EQ(request.stop_ids, (std::vector<std::int32_t>{kEndId}));
}

TEST(Completions, LeavesTheEndTokenOutWhenToldToIgnoreIt) {
  ServedApi api;
  api.post(kPath, {{"prompt", "x"}, {"ignore_eos", true}});
  EXPECT_TRUE(api.generator().requests().at(0).stop_ids.empty());
}

TEST(Completions, TakesEveryFormOfPrompt) {
  ServedApi api;
  const auto choices = [&](const char* prompt) {
    Json body;
    body["prompt"] = parse_json(prompt, "test");
    return api.post(kPath, body)["choices"].size();
  };
  EXPECT_EQ(choices(R"("text")"), 1u);
  EXPECT_EQ(choices("[65, 66]"), 1u);
  EXPECT_EQ(choices(R"(["a", "b"])"), 2u);
  EXPECT_EQ(choices("[[1], [2, 3], [4]]"), 3u);
  const auto requests = api.generator().requests();
  ASSERT_EQ(requests.size(), 7u);
  EXPECT_EQ(requests[0].prompt, byte_ids("text"));
  EXPECT_EQ(requests[3].prompt, byte_ids("b"));
  EXPECT_EQ(requests[5].prompt, (std::vector<std::int32_t>{2, 3}));
}

TEST(Completions, ParsesSpecialTokensInAPrompt) {
  ServedApi api;
  api.post(kPath, {{"prompt", "a<|im_start|>"}});
  EXPECT_EQ(api.generator().requests().at(0).prompt,
            (std::vector<std::int32_t>{'a', nvllm::testing::kTurnStartId}));
}

TEST(Completions, NumbersChoicesByPromptAndSampleAndSpreadsTheSeed) {
  ServedApi api;
  const Json answer = api.post(kPath, {{"prompt", {"a", "b"}}, {"n", 2}, {"seed", 10}});
  ASSERT_EQ(answer["choices"].size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(answer["choices"][i]["index"], i);
  const auto requests = api.generator().requests();
  EXPECT_EQ(requests[1].prompt, byte_ids("a"));
  EXPECT_EQ(requests[2].prompt, byte_ids("b"));
  EXPECT_EQ(*requests[0].sampling.seed, 10u);
  EXPECT_EQ(*requests[1].sampling.seed, 11u);
  EXPECT_EQ(*requests[2].sampling.seed, 10u);
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 24);
}

TEST(Completions, EndsByLength) {
  ServedApi api;
  const Json answer = api.post(kPath, {{"prompt", "a"}, {"max_tokens", 3}});
  EXPECT_EQ(answer["choices"][0]["text"], "hel");
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
}

TEST(Completions, ClampsATokenLimitToTheContext) {
  ServedApi api;
  api.post(kPath, {{"prompt", "abcd"}, {"max_tokens", 2'000'000'000}});
  EXPECT_EQ(api.generator().requests().at(0).max_tokens, 508);
}

TEST(Completions, CutsBeforeAStopStringThatSpansTokens) {
  ServedApi api;
  api.generator().set_script(says("one two three"));
  const Json answer =
      api.post(kPath, {{"prompt", "a"}, {"max_tokens", 100}, {"stop", {"three", "two"}}});
  EXPECT_EQ(answer["choices"][0]["text"], "one ");
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(answer["choices"][0]["stop_reason"], "two");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 7);
}

TEST(Completions, CancelsTheEngineAtAStopString) {
  ServedApi api;
  api.generator().set_script([](const engine::GenerationRequest&) {
    return std::vector<engine::StreamEvent>{tokens_event(byte_ids("x.y"))};  // goes on for ever
  });
  const Json answer = api.post(kPath, {{"prompt", "a"}, {"stop", "."}});
  EXPECT_EQ(answer["choices"][0]["text"], "x");
  EXPECT_TRUE(api.generator().streams().at(0)->cancelled());
}

TEST(Completions, SearchesNoStopStringBeforeMinTokens) {
  ServedApi api;
  api.generator().set_script(says("a.b.c"));
  const Json answer = api.post(kPath, {{"prompt", "a"}, {"stop", "."}, {"min_tokens", 2}});
  EXPECT_EQ(answer["choices"][0]["text"], "a.b");
}

TEST(Completions, NamesTheClientsStopIdAndLeavesItOutOfTheText) {
  ServedApi api;
  api.generator().set_script([](const engine::GenerationRequest&) {
    return std::vector<engine::StreamEvent>{tokens_event(byte_ids("ab!"), FinishReason::kStop)};
  });
  Json body = {{"prompt", "a"}, {"stop_token_ids", {33}}};
  Json choice = api.post(kPath, body)["choices"][0];
  EXPECT_EQ(choice["text"], "ab");
  EXPECT_EQ(choice["stop_reason"], 33);
  body["include_stop_str_in_output"] = true;
  EXPECT_EQ(api.post(kPath, body)["choices"][0]["text"], "ab!");
}

TEST(Completions, ReturnsTokenIds) {
  ServedApi api;
  api.generator().set_script(says("hi"));
  const Json choice = api.post(kPath, {{"prompt", "ab"}, {"return_token_ids", true}})["choices"][0];
  EXPECT_EQ(dump_json(choice["token_ids"]), "[104,105,256]");
  EXPECT_EQ(dump_json(choice["prompt_token_ids"]), "[97,98]");
}

TEST(Completions, ReportsLogprobsInOpenAiShape) {
  ServedApi api;
  api.generator().set_script(says("hé"));
  const Json logprobs = api.post(
      kPath, {{"prompt", "a"}, {"logprobs", 2}, {"max_tokens", 3}})["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"][0], "h");
  EXPECT_EQ(logprobs["tokens"][1], "\xef\xbf\xbd");
  EXPECT_EQ(dump_json(logprobs["text_offset"]), "[0,1,2]");
  EXPECT_EQ(dump_json(logprobs["token_logprobs"]), "[-0.5,-0.5,-0.5]");
  EXPECT_EQ(dump_json(logprobs["top_logprobs"][0]), R"({"h":-0.5,"A":-1.0,"B":-2.0})");
}

TEST(Completions, EchoesThePromptWithItsLogprobs) {
  ServedApi api;
  const Json answer =
      api.post(kPath, {{"prompt", "ab"}, {"echo", true}, {"logprobs", 1}, {"max_tokens", 0}});
  const Json choice = answer["choices"][0];
  EXPECT_EQ(choice["text"], "ab");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(dump_json(choice["logprobs"]["tokens"]), R"(["a","b"])");
  EXPECT_TRUE(choice["logprobs"]["token_logprobs"][0].is_null());
  EXPECT_TRUE(choice["logprobs"]["top_logprobs"][0].is_null());
  EXPECT_EQ(choice["logprobs"]["token_logprobs"][1], -0.5);
  EXPECT_EQ(api.generator().requests().at(0).max_tokens, 0);
  EXPECT_EQ(api.generator().requests().at(0).sampling.prompt_logprobs, 1);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 0);
}

TEST(Completions, EchoesAPromptOfOneTokenThoughThereIsNothingToScore) {
  ServedApi api;
  api.generator().set_script([](const engine::GenerationRequest&) {
    auto event = tokens_event({'x'}, FinishReason::kLength);
    event.tokens[0].logprob = -0.25f;
    event.prompt.push_back({.id = 'a', .logprob = {}, .top = {}});
    return std::vector<engine::StreamEvent>{event};
  });
  const Json choice = api.post(
      kPath, {{"prompt", "a"}, {"echo", true}, {"logprobs", 0}, {"max_tokens", 1}})["choices"][0];
  EXPECT_EQ(dump_json(choice["logprobs"]["tokens"]), R"(["a","x"])");
  EXPECT_EQ(dump_json(choice["logprobs"]["token_logprobs"]), "[null,-0.25]");
}

TEST(Completions, EchoesTokenIdPromptsAsText) {
  ServedApi api;
  const Json answer =
      api.post(kPath, {{"prompt", byte_ids("xy")}, {"echo", true}, {"max_tokens", 2}});
  EXPECT_EQ(answer["choices"][0]["text"], "xyhe");
}

TEST(Completions, StreamsChunksAndEndsWithDone) {
  ServedApi api;
  const auto events = api.stream(
      kPath, {{"prompt", "a"}, {"stream", true}, {"stream_options", {{"include_usage", true}}}});
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events.back(), "[DONE]");
  std::string text;
  int finishes = 0;
  for (std::size_t i = 0; i + 2 < events.size(); ++i) {
    const Json chunk = parse_json(events[i], "chunk");
    EXPECT_EQ(chunk["object"], "text_completion");
    EXPECT_TRUE(chunk["usage"].is_null());
    text += chunk["choices"][0]["text"].get<std::string>();
    if (!chunk["choices"][0]["finish_reason"].is_null()) ++finishes;
  }
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(finishes, 1);
  const Json last = parse_json(events[events.size() - 2], "chunk");
  EXPECT_TRUE(last["choices"].empty());
  EXPECT_EQ(last["usage"]["completion_tokens"], 6);
}

TEST(Completions, SendsNoUsageUnasked) {
  ServedApi api;
  for (const std::string& event : api.stream(kPath, {{"prompt", "a"}, {"stream", true}})) {
    EXPECT_EQ(event.find("usage"), std::string::npos);
  }
}

TEST(Completions, NeverSplitsACharacterNorShowsPartOfAStopStringWhileStreaming) {
  ServedApi api;
  api.generator().set_script({});
  std::vector<std::string> events;
  std::thread reader([&] {
    events = api.stream(kPath, {{"prompt", "a"}, {"stream", true}, {"stop", "€!"}});
  });
  ASSERT_TRUE(eventually([&] { return api.generator().streams().size() == 1; }));
  const auto stream = api.generator().streams().at(0);
  for (const std::int32_t id : byte_ids("né€?€!x")) {
    stream->push(tokens_event({id}));
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  reader.join();
  std::string text;
  for (const std::string& event : events) {
    if (event == "[DONE]") continue;
    const std::string part = parse_json(event, "chunk")["choices"][0]["text"];
    EXPECT_EQ(part.find("\xef\xbf\xbd"), std::string::npos);
    text += part;
  }
  EXPECT_EQ(text, "né€?");
  EXPECT_TRUE(stream->cancelled());
}

TEST(Completions, InterleavesTheChoicesOfAStreamEachWithOneEnd) {
  ServedApi api;
  std::vector<std::string> texts(4);
  std::vector<int> ends(4);
  for (const std::string& event :
       api.stream(kPath, {{"prompt", {"a", "b"}}, {"n", 2}, {"stream", true}, {"echo", true}})) {
    if (event == "[DONE]") continue;
    const Json choice = parse_json(event, "chunk")["choices"][0];
    const auto index = choice["index"].get<std::size_t>();
    texts.at(index) += choice["text"].get<std::string>();
    if (!choice["finish_reason"].is_null()) ++ends.at(index);
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"ahello", "ahello", "bhello", "bhello"}));
  EXPECT_EQ(ends, (std::vector<int>{1, 1, 1, 1}));
}

TEST(Completions, CancelsAllSequencesWhenTheClientLeaves) {
  ServedApi api;
  api.generator().set_script({});
  for (const bool stream : {false, true}) {
    const std::size_t before = api.generator().streams().size();
    RawSocket socket(api.http().port());
    socket.send(raw_post(
        kPath, stream ? R"({"prompt":"a","n":3,"stream":true})" : R"({"prompt":"a","n":3})"));
    ASSERT_TRUE(eventually([&] { return api.generator().streams().size() == before + 3; }));
    EXPECT_FALSE(api.generator().streams().back()->cancelled());
    socket.close();
    for (std::size_t i = before; i < before + 3; ++i) {
      EXPECT_TRUE(eventually([&] { return api.generator().streams()[i]->cancelled(); })) << i;
    }
    EXPECT_TRUE(eventually([&] { return api.context().live_calls().count() == 0; }));
  }
}

TEST(Completions, SendsAnErrorEventAndDoneWhenTheEngineFailsInAStream) {
  ServedApi api;
  api.generator().set_script([](const engine::GenerationRequest&) {
    engine::StreamEvent error;
    error.finish = FinishReason::kError;
    error.error = "secret device words";
    return std::vector<engine::StreamEvent>{tokens_event(byte_ids("a")), error};
  });
  const auto events = api.stream(kPath, {{"prompt", "a"}, {"stream", true}});
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(events.back(), "[DONE]");
  const Json error = parse_json(events[events.size() - 2], "chunk");
  EXPECT_EQ(error["error"]["type"], "server_error");
  EXPECT_EQ(events[events.size() - 2].find("secret"), std::string::npos);
  int status = 0;
  api.post(kPath, {{"prompt", "a"}}, &status);
  EXPECT_EQ(status, 500);
}

TEST(Completions, EndsLiveCallsForAShutdown) {
  ServedApi api;
  api.generator().set_script({});
  std::vector<std::string> events;
  std::thread reader([&] { events = api.stream(kPath, {{"prompt", "a"}, {"stream", true}}); });
  RawSocket plain(api.http().port());
  plain.send(raw_post(kPath, R"({"prompt":"b"})"));
  ASSERT_TRUE(eventually([&] { return api.context().live_calls().count() == 2; }));
  api.context().begin_drain();
  EXPECT_EQ(api.context().live_calls().count(), 2);
  api.context().live_calls().end_all();
  reader.join();
  EXPECT_NE(plain.read_until(" 503 ").find(" 503 "), std::string::npos);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_NE(events[0].find("shutting down"), std::string::npos);
  EXPECT_EQ(events[1], "[DONE]");
  for (const auto& stream : api.generator().streams()) EXPECT_TRUE(stream->cancelled());
}

TEST(Completions, FinishesRunningCallsWhileDraining) {
  ServedApi api;
  api.generator().set_script({});
  RawSocket plain(api.http().port());
  plain.send(raw_post(kPath, R"({"prompt":"b"})"));
  ASSERT_TRUE(eventually([&] { return api.context().live_calls().count() == 1; }));
  api.context().begin_drain();
  int status = 0;
  api.post(kPath, {{"prompt", "a"}}, &status);
  EXPECT_EQ(status, 503);
  EXPECT_EQ(api.client().get("/health").status, 503);
  api.generator().streams().at(0)->push(tokens_event({'o', 'k', kEndId}, FinishReason::kStop));
  EXPECT_NE(plain.read_until(R"("text":"ok")").find(R"("text":"ok")"), std::string::npos);
}

}  // namespace
}  // namespace nvllm::server
