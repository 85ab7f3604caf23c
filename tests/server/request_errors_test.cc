// What bad input gets: every field with wrong types and values out of range. Each bad request is
// sent twice, because a refusal must leave nothing behind, and then a good one must work.
#include <gtest/gtest.h>

#include "support/served_api.h"

namespace nvllm::server {
namespace {

using nvllm::testing::ServedApi;

struct Bad {
  const char* field;  ///< what "param" must name
  const char* json;   ///< the members put into the body
};

constexpr Bad kBadCommon[] = {
    {"model", R"("model": 7)"},
    {"stream", R"("stream": "yes")"},
    {"stream", R"("stream": 1)"},
    {"n", R"("n": 0)"},
    {"n", R"("n": 9)"},
    {"n", R"("n": -1)"},
    {"n", R"("n": 1.5)"},
    {"n", R"("n": "2")"},
    {"n", R"("n": true)"},
    {"n", R"("n": 5000000)"},
    {"n", R"("n": 18446744073709551615)"},
    {"n", R"("n": 1e300)"},
    {"n", R"("n": [1])"},
    {"max_tokens", R"("max_tokens": -1)"},
    {"max_tokens", R"("max_tokens": 0)"},
    {"max_tokens", R"("max_tokens": 2147483648)"},
    {"max_tokens", R"("max_tokens": "16")"},
    {"max_tokens", R"("max_tokens": 1.25)"},
    {"min_tokens", R"("min_tokens": -1)"},
    {"min_tokens", R"("min_tokens": {})"},
    {"min_tokens", R"("min_tokens": 5, "max_tokens": 4)"},
    {"temperature", R"("temperature": -0.1)"},
    {"temperature", R"("temperature": 2.01)"},
    {"temperature", R"("temperature": "hot")"},
    {"temperature", R"("temperature": false)"},
    {"top_p", R"("top_p": 0)"},
    {"top_p", R"("top_p": 1.01)"},
    {"top_p", R"("top_p": [0.5])"},
    {"top_k", R"("top_k": -2)"},
    {"top_k", R"("top_k": 0.5)"},
    {"top_k", R"("top_k": "all")"},
    {"min_p", R"("min_p": -0.01)"},
    {"min_p", R"("min_p": 1.1)"},
    {"seed", R"("seed": 0.5)"},
    {"seed", R"("seed": "1")"},
    {"seed", R"("seed": 18446744073709551615)"},
    {"stop", R"("stop": 1)"},
    {"stop", R"("stop": "")"},
    {"stop", R"("stop": {})"},
    {"stop", R"("stop": ["a", "b", "c", "d", "e"])"},
    {"stop[1]", R"("stop": ["a", ""])"},
    {"stop[0]", R"("stop": [3])"},
    {"stop_token_ids", R"("stop_token_ids": 3)"},
    {"stop_token_ids[0]", R"("stop_token_ids": [259])"},
    {"stop_token_ids[1]", R"("stop_token_ids": [1, -1])"},
    {"stop_token_ids[0]", R"("stop_token_ids": ["1"])"},
    {"ignore_eos", R"("ignore_eos": 0)"},
    {"presence_penalty", R"("presence_penalty": 2.5)"},
    {"presence_penalty", R"("presence_penalty": "0")"},
    {"frequency_penalty", R"("frequency_penalty": -2.5)"},
    {"repetition_penalty", R"("repetition_penalty": 0)"},
    {"repetition_penalty", R"("repetition_penalty": -1)"},
    {"repetition_penalty", R"("repetition_penalty": 1e9)"},
    {"logit_bias", R"("logit_bias": [1])"},
    {"logit_bias", R"("logit_bias": {"x": 1})"},
    {"logit_bias", R"("logit_bias": {"-1": 1})"},
    {"logit_bias", R"("logit_bias": {"259": 1})"},
    {"logit_bias", R"("logit_bias": {" 1": 1})"},
    {"logit_bias", R"("logit_bias": {"99999999999999999999": 1})"},
    {"logit_bias.5", R"("logit_bias": {"5": 101})"},
    {"logit_bias.5", R"("logit_bias": {"5": "1"})"},
    {"return_token_ids", R"("return_token_ids": "true")"},
    {"return_tokens_as_token_ids", R"("return_tokens_as_token_ids": 1)"},
    {"skip_special_tokens", R"("skip_special_tokens": 1)"},
    {"include_stop_str_in_output", R"("include_stop_str_in_output": 1)"},
    {"stream_options", R"("stream_options": {"include_usage": true})"},
    {"stream_options", R"("stream": true, "stream_options": 1)"},
    {"stream_options.include_usage", R"("stream": true, "stream_options": {"include_usage": 1})"},
    // Understood by others, not supported here: named, never silently ignored.
    {"best_of", R"("best_of": 2)"},
    {"best_of", R"("best_of": "x")"},
    {"tool_choice", R"("tool_choice": "required")"},
    {"functions", R"("functions": [{}])"},
    {"response_format", R"("response_format": {"type": "json_object"})"},
    {"response_format", R"("response_format": "json")"},
    {"response_format", R"("response_format": {})"},
    {"prompt_embeds", R"("prompt_embeds": "AAAA")"},
    {"guided_json", R"("guided_json": {"type": "object"})"},
    {"guided_regex", R"("guided_regex": "a+")"},
    {"structured_outputs", R"("structured_outputs": {"regex": "a"})"},
    {"use_beam_search", R"("use_beam_search": true)"},
    {"prompt_logprobs", R"("prompt_logprobs": 0)"},
    {"truncate_prompt_tokens", R"("truncate_prompt_tokens": 5)"},
    {"bad_words", R"("bad_words": ["x"])"},
    {"allowed_token_ids", R"("allowed_token_ids": [1])"},
};

constexpr Bad kBadCompletion[] = {
    {"tools", R"("tools": [{"type": "function"}])"},
    {"tool_choice", R"("tool_choice": {"type": "function"})"},
    {"thinking_token_budget", R"("thinking_token_budget": 5)"},
    {"suffix", R"("suffix": "end")"},
    {"logprobs", R"("logprobs": 21)"},
    {"logprobs", R"("logprobs": -1)"},
    {"logprobs", R"("logprobs": true)"},
    {"echo", R"("echo": "yes")"},
    {"add_special_tokens", R"("add_special_tokens": 1)"},
};

/// Whole prompts, in place of the good one.
constexpr Bad kBadPrompt[] = {
    {"prompt", R"("prompt": null)"},
    {"prompt", R"("prompt": 5)"},
    {"prompt", R"("prompt": {})"},
    {"prompt", R"("prompt": true)"},
    {"prompt", R"("prompt": "")"},
    {"prompt", R"("prompt": [])"},
    {"prompt", R"("prompt": ["a", [1]])"},
    {"prompt", R"("prompt": [[1], "a"])"},
    {"prompt[1]", R"("prompt": [[1], []])"},
    {"prompt[0]", R"("prompt": [259])"},
    {"prompt[1]", R"("prompt": [1, -1])"},
    {"prompt[1]", R"("prompt": [1, "a"])"},
    {"prompt[0]", R"("prompt": [1.5])"},
    {"prompt[1][0]", R"("prompt": [[1], [259]])"},
    {"prompt",
     R"("prompt": ["1","2","3","4","5","6","7","8","9","0","1","2","3","4","5","6","7"])"},
};

constexpr Bad kBadChat[] = {
    {"max_completion_tokens", R"("max_completion_tokens": 0)"},
    {"max_completion_tokens", R"("max_completion_tokens": "5")"},
    {"min_tokens", R"("min_tokens": 5, "max_completion_tokens": 4)"},
    {"logprobs", R"("logprobs": 1)"},
    {"top_logprobs", R"("logprobs": true, "top_logprobs": 21)"},
    {"top_logprobs", R"("logprobs": true, "top_logprobs": -1)"},
    {"top_logprobs", R"("top_logprobs": 3)"},
    {"add_generation_prompt", R"("add_generation_prompt": "no")"},
    {"continue_final_message", R"("continue_final_message": true)"},
    {"chat_template", R"("chat_template": "x")"},
    {"echo", R"("echo": true)"},
    {"chat_template_kwargs", R"("chat_template_kwargs": 5)"},
    {"chat_template_kwargs", R"("chat_template_kwargs": {"messages": 1})"},
    {"chat_template_kwargs", R"("chat_template_kwargs": {"bos_token": "x"})"},
    {"chat_template_kwargs.a", R"("chat_template_kwargs": {"a": "<|im_start|>"})"},
    {"chat_template_kwargs.a", R"("chat_template_kwargs": {"a": [1]})"},
    {"tools", R"("tools": 5)"},
    {"tools", R"("tools": {"type": "function"})"},
    {"tools[0]", R"("tools": ["f"])"},
    {"tools[0].type", R"("tools": [{"function": {"name": "f"}}])"},
    {"tools[0].type", R"("tools": [{"type": "retrieval", "function": {"name": "f"}}])"},
    {"tools[0].function", R"("tools": [{"type": "function"}])"},
    {"tools[0].function", R"("tools": [{"type": "function", "function": 5}])"},
    {"tools[0].function.name", R"("tools": [{"type": "function", "function": {}}])"},
    {"tools[0].function.name", R"("tools": [{"type": "function", "function": {"name": 5}}])"},
    {"tools[0].function.name", R"("tools": [{"type": "function", "function": {"name": ""}}])"},
    {"tools[0].function.name", R"("tools": [{"type": "function", "function": {"name": "a b"}}])"},
    {"tools[0].function.name", R"("tools": [{"type": "function", "function": {"name": "a>"}}])"},
    {"tools[0].function.name",
     R"("tools": [{"type": "function", "function": {"name": "a2345678901234567890123456789012345678901234567890123456789012345"}}])"},
    {"tools[0].function.description",
     R"("tools": [{"type": "function", "function": {"name": "f", "description": 5}}])"},
    {"tools[0].function.parameters",
     R"("tools": [{"type": "function", "function": {"name": "f", "parameters": []}}])"},
    {"tools[1].function.name",
     R"("tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "-!"}}])"},
    // The model of these tests has no format for calls.
    {"tools", R"("tools": [{"type": "function", "function": {"name": "f"}}])"},
    {"tool_choice", R"("tool_choice": "always")"},
    {"tool_choice", R"("tool_choice": 5)"},
    {"tool_choice.type", R"("tool_choice": {"function": {"name": "f"}})"},
    {"tool_choice.type", R"("tool_choice": {"type": "tool"})"},
    {"tool_choice.function", R"("tool_choice": {"type": "function"})"},
    {"tool_choice.function.name", R"("tool_choice": {"type": "function", "function": {}})"},
    {"tool_choice", R"("tool_choice": {"type": "function", "function": {"name": "f"}})"},
    {"tool_choice.function.name",
     R"("tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "g"}})"},
    {"parallel_tool_calls", R"("parallel_tool_calls": "no")"},
    {"include_reasoning", R"("include_reasoning": "no")"},
    {"reasoning_effort", R"("reasoning_effort": "huge")"},
    {"reasoning_effort", R"("reasoning_effort": 3)"},
    {"thinking_token_budget", R"("thinking_token_budget": -1)"},
    {"thinking_token_budget", R"("thinking_token_budget": 1.5)"},
    {"thinking_token_budget", R"("thinking_token_budget": "5")"},
    {"thinking_token_budget", R"("thinking_token_budget": 5)"},
};

constexpr Bad kBadMessages[] = {
    {"messages", R"("messages": null)"},
    {"messages", R"("messages": [])"},
    {"messages", R"("messages": "hi")"},
    {"messages[0]", R"("messages": ["hi"])"},
    {"messages[0].role", R"("messages": [{"content": "x"}])"},
    {"messages[0].role", R"("messages": [{"role": 1, "content": "x"}])"},
    {"messages[0].role", R"("messages": [{"role": "function", "content": "x"}])"},
    {"messages[0].content", R"("messages": [{"role": "tool", "tool_call_id": "a"}])"},
    {"messages[0].tool_call_id",
     R"("messages": [{"role": "tool", "content": "x", "tool_call_id": 5}])"},
    {"messages[0].content", R"("messages": [{"role": "user"}])"},
    {"messages[0].content", R"("messages": [{"role": "user", "content": 5}])"},
    {"messages[1].content[0].type",
     R"("messages": [{"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "image_url"}]}])"},
    {"messages[0].content[0].text",
     R"("messages": [{"role": "user", "content": [{"type": "text"}]}])"},
    {"messages[0].tool_calls",
     R"("messages": [{"role": "assistant", "content": "x", "tool_calls": {"id": "1"}}])"},
    {"messages[0].tool_calls",
     R"("messages": [{"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f"}}]}])"},
    {"messages[0].tool_calls[0]", R"("messages": [{"role": "assistant", "tool_calls": ["f"]}])"},
    {"messages[0].tool_calls[0].function",
     R"("messages": [{"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]}])"},
    {"messages[0].tool_calls[0].type",
     R"("messages": [{"role": "assistant", "tool_calls": [{"type": "x", "function": {"name": "f"}}]}])"},
    {"messages[0].tool_calls[0].id",
     R"("messages": [{"role": "assistant", "tool_calls": [{"id": 5, "function": {"name": "f"}}]}])"},
    {"messages[0].tool_calls[0].function.name",
     R"("messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}])"},
    {"messages[0].tool_calls[1].function.arguments",
     R"("messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}},
                                                          {"function": {"name": "f", "arguments": "{\"a\": "}}]}])"},
    {"messages[0].tool_calls[0].function.arguments",
     R"("messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}])"},
    {"messages[0].tool_calls[0].function.arguments",
     R"("messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 5}}]}])"},
    {"messages[0].reasoning",
     R"("messages": [{"role": "assistant", "content": "x", "reasoning": 5}])"},
    {"messages[0].reasoning_content",
     R"("messages": [{"role": "assistant", "content": "x", "reasoning_content": []}])"},
    {"messages[0].name", R"("messages": [{"role": "user", "content": "x", "name": 5}])"},
};

class RequestErrors : public ::testing::Test {
 protected:
  void refuse(const char* path, const std::string& body, const std::string& field) {
    for (int time = 0; time < 2; ++time) {
      int status = 0;
      const Json answer = api_.post_text(path, body, &status);
      EXPECT_EQ(status, 400) << body;
      ASSERT_TRUE(answer.contains("error")) << body;
      const Json& error = answer["error"];
      EXPECT_EQ(error.size(), 4u);
      EXPECT_EQ(error["type"], "invalid_request_error");
      ASSERT_TRUE(error["param"].is_string()) << body << dump_json(answer);
      EXPECT_EQ(error["param"], field) << body;
      EXPECT_NE(error["message"].get<std::string>().find(field), std::string::npos) << body;
    }
    EXPECT_EQ(api_.generator().requests().size(), good_count_) << "reached the engine: " << body;
  }

  void accept(const char* path, const std::string& body) {
    int status = 0;
    const Json answer = api_.post_text(path, body, &status);
    EXPECT_EQ(status, 200) << body << dump_json(answer);
    ++good_count_;
  }

  ServedApi api_;
  std::size_t good_count_ = 0;
};

constexpr const char* kCompletions = "/v1/completions";
constexpr const char* kChat = "/v1/chat/completions";
const std::string kGoodPrompt = R"("prompt": "a")";
const std::string kGoodMessages = R"("messages": [{"role": "user", "content": "a"}])";

TEST_F(RequestErrors, NameTheFieldOfACompletion) {
  for (const Bad& bad : kBadCommon)
    refuse(kCompletions, "{" + kGoodPrompt + "," + bad.json + "}", bad.field);
  for (const Bad& bad : kBadCompletion)
    refuse(kCompletions, "{" + kGoodPrompt + "," + bad.json + "}", bad.field);
  for (const Bad& bad : kBadPrompt)
    refuse(kCompletions, std::string("{") + bad.json + "}", bad.field);
  accept(kCompletions, "{" + kGoodPrompt + "}");
}

TEST_F(RequestErrors, NameTheFieldOfAChat) {
  for (const Bad& bad : kBadCommon)
    refuse(kChat, "{" + kGoodMessages + "," + bad.json + "}", bad.field);
  for (const Bad& bad : kBadChat)
    refuse(kChat, "{" + kGoodMessages + "," + bad.json + "}", bad.field);
  for (const Bad& bad : kBadMessages) refuse(kChat, std::string("{") + bad.json + "}", bad.field);
  accept(kChat, "{" + kGoodMessages + "}");
}

TEST_F(RequestErrors, DoNotHitValuesAtTheEdges) {
  for (const char* json : {R"("n": 8)",
                           R"("n": 2.0)",
                           R"("max_tokens": 2147483647)",
                           R"("temperature": 0)",
                           R"("temperature": 2)",
                           R"("top_p": 1)",
                           R"("top_k": -1)",
                           R"("top_k": 0)",
                           R"("top_k": 2147483647)",
                           R"("min_p": 0)",
                           R"("min_p": 1)",
                           R"("seed": -9223372036854775808)",
                           R"("seed": 9223372036854775807)",
                           R"("stop": ["a", "b", "c", "d"])",
                           R"("stop": [])",
                           R"("stop_token_ids": [0, 258])",
                           R"("presence_penalty": -2)",
                           R"("frequency_penalty": 2)",
                           R"("repetition_penalty": 10)",
                           R"("logit_bias": {"0": -100, "258": 100})",
                           R"("logprobs": 20)",
                           R"("logprobs": 0)",
                           R"("best_of": 1)",
                           R"("suffix": null)",
                           R"("tools": [])",
                           R"("tool_choice": "none")",
                           R"("response_format": {"type": "text"})",
                           R"("user": "x", "unknown_field": {"a": []})",
                           R"("stream_options": null)",
                           R"("temperature": null)"}) {
    int status = 0;
    const Json answer = api_.post_text(kCompletions, "{" + kGoodPrompt + "," + json + "}", &status);
    EXPECT_EQ(status, 200) << json << dump_json(answer);
  }
}

TEST_F(RequestErrors, BoundStopStringsAndBiasesInSize) {
  accept(kCompletions, "{" + kGoodPrompt + R"(,"stop":")" + std::string(256, 'x') + "\"}");
  refuse(kCompletions, "{" + kGoodPrompt + R"(,"stop":")" + std::string(257, 'x') + "\"}", "stop");
  // 300 biases need 300 ids: the vocabulary of the test has fewer, so the count is checked first.
  std::string many;
  for (int i = 0; i < 301; ++i) many += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":1";
  refuse(kCompletions, "{" + kGoodPrompt + ",\"logit_bias\":{" + many + "}}", "logit_bias");
}

TEST_F(RequestErrors, RefuseBrokenJson) {
  for (const char* body : {"", "{", "[]", "5", "null", "\"x\"", R"({"prompt":"a"} x)",
                           R"({"prompt":"a","prompt":"b"})", R"({"n":NaN,"prompt":"a"})",
                           R"({"temperature":1e999,"prompt":"a"})", "{\"prompt\":\"\xff\"}"}) {
    for (int time = 0; time < 2; ++time) {
      int status = 0;
      const Json answer = api_.post_text(kCompletions, body, &status);
      EXPECT_EQ(status, 400) << body;
      EXPECT_TRUE(answer["error"]["message"].is_string());
    }
  }
  for (const int depth : {64, 65, 100'000}) {
    int status = 0;
    api_.post_text(kCompletions,
                   R"({"prompt":"a","x":)" + std::string(static_cast<std::size_t>(depth), '[') +
                       std::string(static_cast<std::size_t>(depth), ']') + "}",
                   &status);
    EXPECT_EQ(status, 400) << depth;
  }
  accept(kCompletions, R"({"prompt":"a","x":[[[]]]})");
}

TEST_F(RequestErrors, GiveBothNumbersForAPromptLongerThanTheContext) {
  for (int time = 0; time < 2; ++time) {
    int status = 0;
    const Json answer = api_.post(kCompletions, {{"prompt", std::string(512, 'x')}}, &status);
    EXPECT_EQ(status, 400);
    EXPECT_EQ(answer["error"]["code"], "context_length_exceeded");
    EXPECT_EQ(answer["error"]["message"],
              "This model's maximum context length is 512 tokens, but the prompt has 512 and at "
              "least 1 is to be generated.");
  }
  int status = 0;
  api_.post(kCompletions, {{"prompt", std::string(511, 'x')}}, &status);
  EXPECT_EQ(status, 200);
  EXPECT_EQ(api_.generator().requests().back().max_tokens, 1);
  api_.post(kCompletions, {{"prompt", std::string(512, 'x')}, {"echo", true}, {"max_tokens", 0}},
            &status);
  EXPECT_EQ(status, 200);
}

TEST_F(RequestErrors, BoundTheProductOfLogprobs) {
  ServedApi wide;
  wide.generator().limits_for_setup().max_model_len = 1'000'000;
  int status = 0;
  const Json answer = wide.post(
      kCompletions, {{"prompt", "a"}, {"n", 8}, {"logprobs", 20}, {"max_tokens", 30'000}}, &status);
  EXPECT_EQ(status, 400);
  EXPECT_EQ(answer["error"]["param"], "logprobs");
  wide.post(kCompletions, {{"prompt", "a"}, {"n", 2}, {"logprobs", 20}, {"max_tokens", 30'000}},
            &status);
  EXPECT_EQ(status, 200);
}

TEST_F(RequestErrors, RefuseMoreSequencesThanCanEverWait) {
  ServedApi narrow;
  narrow.generator().limits_for_setup().inbox_limit = 4;
  int status = 0;
  const Json answer = narrow.post(kCompletions, {{"prompt", "a"}, {"n", 5}}, &status);
  EXPECT_EQ(status, 400);
  EXPECT_EQ(answer["error"]["param"], "n");
}

TEST_F(RequestErrors, AnswerUnknownModelsWith404) {
  for (const char* path : {kCompletions, kChat}) {
    const std::string rest = path == kChat ? kGoodMessages : kGoodPrompt;
    int status = 0;
    const Json answer = api_.post_text(path, R"({"model":"gpt-9",)" + rest + "}", &status);
    EXPECT_EQ(status, 404);
    EXPECT_EQ(answer["error"]["code"], "model_not_found");
    EXPECT_EQ(answer["error"]["param"], "model");
    api_.post_text(path, R"({"model":"alias",)" + rest + "}", &status);
    EXPECT_EQ(status, 200);
  }
}

TEST_F(RequestErrors, TellAFullQueueWhenToComeBack) {
  api_.generator().set_outcome(engine::SubmitOutcome::kQueueFull);
  for (int time = 0; time < 2; ++time) {
    const net::HttpResponse response = api_.client().post(kCompletions, "{" + kGoodPrompt + "}");
    EXPECT_EQ(response.status, 429);
    ASSERT_NE(response.header("Retry-After"), nullptr);
    EXPECT_EQ(parse_json(response.body, "answer")["error"]["type"], "rate_limit_error");
  }
  api_.generator().set_outcome(engine::SubmitOutcome::kDead);
  EXPECT_EQ(api_.client().post(kCompletions, "{" + kGoodPrompt + "}").status, 503);
  api_.generator().set_outcome(engine::SubmitOutcome::kAccepted);
  EXPECT_EQ(api_.client().post(kCompletions, "{" + kGoodPrompt + "}").status, 200);
  EXPECT_EQ(api_.context().live_calls().count(), 0);
}

}  // namespace
}  // namespace nvllm::server
