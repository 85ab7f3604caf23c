#include "server/parsers/reply_reader.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/hashing.h"
#include "support/reply_transcripts.h"

namespace nvllm::server {
namespace {

using nvllm::testing::all_transcripts;
using nvllm::testing::SeenReply;
using nvllm::testing::Transcript;
using nvllm::testing::transcript_schemas;

/// Puts parts together as a client does.
void put_together(const std::vector<ReplyPart>& parts, SeenReply& reply) {
  for (const ReplyPart& part : parts) {
    switch (part.kind) {
      case ReplyPart::Kind::kReasoning:
        reply.reasoning += part.text;
        break;
      case ReplyPart::Kind::kContent:
        reply.content += part.text;
        break;
      case ReplyPart::Kind::kCall:
        ASSERT_EQ(part.call, static_cast<std::int64_t>(reply.calls.size()));
        reply.calls.push_back({part.text, ""});
        break;
      case ReplyPart::Kind::kArguments:
        ASSERT_EQ(part.call + 1, static_cast<std::int64_t>(reply.calls.size()));
        reply.calls.back().arguments += part.text;
        break;
    }
  }
}

SeenReply read(const Transcript& transcript, const std::vector<std::string_view>& pieces) {
  ReplyReader reader({.thinking = transcript.thinking,
                      .calls = transcript.format,
                      .call_count = CallCount::kAny,
                      .tools = transcript_schemas(),
                      .opening = {}});
  SeenReply reply;
  for (const std::string_view piece : pieces) put_together(reader.push(piece), reply);
  put_together(reader.finish(transcript.end), reply);
  return reply;
}

TEST(ReplyReader, ReadsEveryTranscriptWhole) {
  for (const Transcript& transcript : all_transcripts()) {
    EXPECT_EQ(read(transcript, {transcript.text}), transcript.seen) << transcript.name;
  }
}

TEST(ReplyReader, ReadsTheSameWhereverTheTextIsCutInTwo) {
  for (const Transcript& transcript : all_transcripts()) {
    const std::string_view text = transcript.text;
    for (std::size_t at = 0; at <= text.size(); ++at) {
      ASSERT_EQ(read(transcript, {text.substr(0, at), text.substr(at)}), transcript.seen)
          << transcript.name << " cut at " << at;
    }
  }
}

TEST(ReplyReader, ReadsTheSameInPiecesOfAnySize) {
  for (const Transcript& transcript : all_transcripts()) {
    const std::string_view text = transcript.text;
    for (std::size_t size = 1; size <= 7; ++size) {
      std::vector<std::string_view> pieces;
      for (std::size_t at = 0; at < text.size(); at += size)
        pieces.push_back(text.substr(at, size));
      ASSERT_EQ(read(transcript, pieces), transcript.seen) << transcript.name << " by " << size;
    }
  }
}

/// A transcript with stretches left out, doubled and put elsewhere.
std::string broken(const std::string& text, std::uint64_t seed) {
  std::string out = text;
  std::uint64_t draws = 0;
  const auto below = [&](std::size_t n) { return random_bits(seed, draws++) % (n + 1); };
  for (int change = 0; change < 3; ++change) {
    const std::size_t at = below(out.size());
    const std::string piece = out.substr(at, below(24));
    if (below(2) == 0) out.erase(at, piece.size());
    if (below(1) == 0) out.insert(below(out.size()), piece);
  }
  return out;
}

TEST(ReplyReader, ReadsBrokenTextTheSameInPiecesOfAnySize) {
  for (const Transcript& transcript : all_transcripts()) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      Transcript changed = transcript;
      changed.text = broken(transcript.text, seed);
      const SeenReply whole = read(changed, {changed.text});
      std::vector<std::string_view> bytes, halves;
      const std::string_view text = changed.text;
      for (std::size_t at = 0; at < text.size(); ++at) bytes.push_back(text.substr(at, 1));
      halves = {text.substr(0, text.size() / 2), text.substr(text.size() / 2)};
      ASSERT_EQ(read(changed, bytes), whole) << text;
      ASSERT_EQ(read(changed, halves), whole) << text;
    }
  }
}

bool is_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0; });
}

TEST(ReplyReader, MakesJsonOfTheTagsOfAnyReplyThatWasNotCutOff) {
  std::size_t calls = 0;
  for (const Transcript& transcript : nvllm::testing::xml_transcripts()) {
    if (!is_ascii(transcript.text)) continue;  // halves of characters are not JSON
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      Transcript changed = transcript;
      changed.text = broken(transcript.text, seed);
      changed.end = ReplyEnd::kWhole;
      for (const auto& call : read(changed, {changed.text}).calls) {
        EXPECT_NO_THROW(parse_json(call.arguments, "arguments")) << changed.text;
        ++calls;
      }
    }
  }
  EXPECT_GT(calls, 1000u);
}

/// Whatever is shown of a part of a text is also the beginning of what is shown of the whole.
TEST(ReplyReader, NeverTakesBackWhatItHasShown) {
  for (const Transcript& transcript : all_transcripts()) {
    ReplyReader reader({.thinking = transcript.thinking,
                        .calls = transcript.format,
                        .call_count = CallCount::kAny,
                        .tools = transcript_schemas(),
                        .opening = {}});
    SeenReply reply;
    for (const char c : transcript.text) {
      put_together(reader.push(std::string_view(&c, 1)), reply);
      ASSERT_TRUE(transcript.seen.reasoning.starts_with(reply.reasoning)) << transcript.name;
      ASSERT_TRUE(transcript.seen.content.starts_with(reply.content)) << transcript.name;
      for (std::size_t i = 0; i < reply.calls.size(); ++i) {
        ASSERT_EQ(reply.calls[i].name, transcript.seen.calls.at(i).name);
        ASSERT_TRUE(transcript.seen.calls[i].arguments.starts_with(reply.calls[i].arguments))
            << transcript.name;
      }
    }
  }
}

TEST(ReplyReader, GoesOnWhereThePromptBeganACall) {
  for (const CallFormat format : {CallFormat::kHermes, CallFormat::kQwenXml}) {
    const bool hermes = format == CallFormat::kHermes;
    ReplyReader reader({.thinking = {},
                        .calls = format,
                        .call_count = CallCount::kOne,
                        .tools = transcript_schemas(),
                        .opening = call_opening(format, "get_weather")});
    SeenReply reply;
    put_together(
        reader.push(hermes ? " {\"city\": \"Rom\"}}\n</tool_call> more"
                           : "<parameter=city>\nRom\n</parameter>\n</function>\n</tool_call> more"),
        reply);
    put_together(reader.finish(ReplyEnd::kWhole), reply);
    EXPECT_EQ(reply, (SeenReply{"", "", {{"get_weather", "{\"city\": \"Rom\"}"}}}));
  }
}

TEST(ReplyReader, LeavesTheNameToTheReplyWhereAnyCallWillDo) {
  for (const CallFormat format : {CallFormat::kHermes, CallFormat::kQwenXml}) {
    ReplyReader reader({.thinking = {},
                        .calls = format,
                        .call_count = CallCount::kAny,
                        .tools = transcript_schemas(),
                        .opening = call_opening(format)});
    SeenReply reply;
    put_together(reader.push(format == CallFormat::kHermes ? "now\", \"arguments\": {}}"
                                                           : "now>\n</function>"),
                 reply);
    put_together(reader.finish(ReplyEnd::kWhole), reply);
    EXPECT_EQ(reply, (SeenReply{"", "", {{"now", "{}"}}}));
  }
}

TEST(ReplyReader, TellsOneCallWhereOneIsWanted) {
  ReplyReader reader({.thinking = {},
                      .calls = CallFormat::kHermes,
                      .call_count = CallCount::kOne,
                      .tools = {},
                      .opening = {}});
  SeenReply reply;
  const std::string call = R"(<tool_call>{"name": "now", "arguments": {}}</tool_call>)";
  put_together(reader.push("a" + call + "b" + call), reply);
  put_together(reader.finish(ReplyEnd::kWhole), reply);
  EXPECT_EQ(reply, (SeenReply{"", "a", {{"now", "{}"}}}));
}

}  // namespace
}  // namespace nvllm::server
