#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "support/reply_transcripts.h"
#include "support/served_api.h"

namespace nvllm::testing {

inline constexpr const char* kChatPath = "/v1/chat/completions";

/// Opens thoughts where it is told `think`, and always tells of tools.
inline constexpr const char* kSpeakingTemplate =
    "{% if tools %}{{ '<|im_start|>tools' }}{% for tool in tools %}{{ '\n' }}{{ tool | tojson }}{% "
    "endfor %}"
    "{{ '<|im_end|>\n' }}{% endif %}{% for message in messages %}{{ '<|im_start|>' + "
    "message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% if think %}{{ '<think>\n' }}{% endif %}{% endif %}";

/// What a client has of one answer in the end.
struct SeenChoice {
  SeenReply reply{};
  std::string finish{};
  std::vector<std::string> call_ids{};
};

inline SeenChoice seen_in_message(const Json& choice) {
  SeenChoice seen{
      .reply = {}, .finish = choice["finish_reason"].get<std::string>(), .call_ids = {}};
  const Json& message = choice["message"];
  EXPECT_EQ(message["role"], "assistant");
  if (!message["content"].is_null()) seen.reply.content = message["content"].get<std::string>();
  seen.reply.reasoning = message.value("reasoning", "");
  EXPECT_EQ(message.value("reasoning_content", ""), seen.reply.reasoning);
  for (const Json& call : message.value("tool_calls", Json::array())) {
    EXPECT_EQ(call["type"], "function");
    seen.call_ids.push_back(call["id"].get<std::string>());
    seen.reply.calls.push_back({call["function"]["name"].get<std::string>(),
                                call["function"]["arguments"].get<std::string>()});
  }
  return seen;
}

/// Puts a stream together as clients do, and demands of every chunk what they rely on.
class StreamClient {
 public:
  explicit StreamClient(std::size_t choices = 1) : seen_(choices), opened_(choices) {}

  void take(const std::string& event) {
    if (event == "[DONE]") return;
    const Json chunk = parse_json(event, "chunk");
    ASSERT_EQ(chunk["object"], "chat.completion.chunk");
    if (chunk["choices"].empty()) return;
    ASSERT_EQ(chunk["choices"].size(), 1u);
    const Json& choice = chunk["choices"][0];
    const auto index = choice["index"].get<std::size_t>();
    SeenChoice& seen = seen_.at(index);
    const Json& delta = choice["delta"];
    if (!opened_.at(index)) {
      ASSERT_EQ(dump_json(delta), R"({"role":"assistant","content":""})");
      opened_[index] = true;
      return;
    }
    ASSERT_EQ(seen.finish, "") << "a chunk behind the last one: " << event;
    ASSERT_FALSE(delta.empty() && choice["finish_reason"].is_null()) << "an empty chunk: " << event;
    for (const auto& [key, value] : delta.items()) take_part(key, value, seen);
    if (!choice["finish_reason"].is_null())
      seen.finish = choice["finish_reason"].get<std::string>();
  }

  const std::vector<SeenChoice>& seen() const { return seen_; }

 private:
  static void take_part(const std::string& key, const Json& value, SeenChoice& seen) {
    if (key == "tool_calls") return take_call(value, seen);
    ASSERT_FALSE(value.get<std::string>().empty()) << "an empty " << key;
    if (key == "content") seen.reply.content += value.get<std::string>();
    if (key == "reasoning") seen.reply.reasoning += value.get<std::string>();
    ASSERT_TRUE(key == "content" || key == "reasoning" || key == "reasoning_content") << key;
  }

  static void take_call(const Json& calls, SeenChoice& seen) {
    ASSERT_EQ(calls.size(), 1u);
    const Json& call = calls[0];
    const auto index = call["index"].get<std::size_t>();
    if (index == seen.reply.calls.size()) {
      ASSERT_EQ(call["type"], "function");
      ASSERT_EQ(call["function"]["arguments"], "");
      seen.call_ids.push_back(call["id"].get<std::string>());
      seen.reply.calls.push_back({call["function"]["name"].get<std::string>(), ""});
      return;
    }
    ASSERT_EQ(index + 1, seen.reply.calls.size());
    ASSERT_FALSE(call.contains("id") || call["function"].contains("name"));
    ASSERT_FALSE(call["function"]["arguments"].get<std::string>().empty());
    seen.reply.calls.back().arguments += call["function"]["arguments"].get<std::string>();
  }

  std::vector<SeenChoice> seen_;
  std::vector<bool> opened_;
};

inline SeenChoice streamed(ServedApi& api, Json body) {
  body["stream"] = true;
  StreamClient client;
  for (const std::string& event : api.stream(kChatPath, body)) client.take(event);
  return client.seen().front();
}

/// Flags that read replies as a transcript wants them read.
inline server::SpeechOptions speech_of(const Transcript& transcript) {
  return {.reasoning_parser = transcript.thinking ? "think" : "none",
          .tool_call_parser =
              transcript.format == server::CallFormat::kHermes ? "hermes" : "qwen3_xml"};
}

/// A request whose reply a transcript is.
inline Json body_of(const Transcript& transcript) {
  Json body;
  body["messages"] = Json::array({Json{{"role", "user"}, {"content", "hi"}}});
  body["tools"] = transcript_tools();
  body["chat_template_kwargs"]["think"] = transcript.thinking == server::ThinkingStart::kInside;
  if (transcript.end == server::ReplyEnd::kCutOff) body["max_tokens"] = transcript.text.size();
  return body;
}

inline std::string finish_of(const Transcript& transcript) {
  if (transcript.end == server::ReplyEnd::kCutOff) return "length";
  return transcript.seen.calls.empty() ? "stop" : "tool_calls";
}

}  // namespace nvllm::testing
