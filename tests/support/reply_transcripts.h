#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "server/parsers/reply_reader.h"

namespace nvllm::testing {

/// A call of a function as a client sees it.
struct SeenCall {
  std::string name{}, arguments{};
  bool operator==(const SeenCall&) const = default;
};

/// A reply as a client sees it, whole or put together from a stream.
struct SeenReply {
  std::string reasoning{}, content{};
  std::vector<SeenCall> calls{};
  bool operator==(const SeenReply&) const = default;
};

inline void PrintTo(const SeenReply& reply, std::ostream* out) {
  *out << "reasoning=" << Json(reply.reasoning) << " content=" << Json(reply.content);
  for (const SeenCall& call : reply.calls) *out << " " << call.name << "(" << Json(call.arguments) << ")";
}

/// What a model wrote, and what a client must see of it.
struct Transcript {
  const char* name;
  std::optional<server::ThinkingStart> thinking;
  server::CallFormat format;
  std::string text;
  SeenReply seen;
  server::ReplyEnd end = server::ReplyEnd::kWhole;
};

/// The functions of all transcripts, as a request declares them.
inline Json transcript_tools() {
  return parse_json(R"([
    {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city.", "parameters":
      {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "exact": {"type": "boolean"},
        "share": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"$ref": "#/$defs/Place"}, "unit": {"enum": ["C", "F"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "limit": {"type": ["null", "integer"]}},
       "$defs": {"Place": {"type": "object"}}}}},
    {"type": "function", "function": {"name": "write_file", "parameters":
      {"type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"}}}}},
    {"type": "function", "function": {"name": "now"}}])",
                    "tools");
}

/// Their schemas.
inline std::shared_ptr<const server::ToolSchemas> transcript_schemas() {
  auto schemas = std::make_shared<server::ToolSchemas>();
  for (const Json& tool : transcript_tools()) {
    schemas->add(tool["function"]["name"].get<std::string>(), tool["function"].value("parameters", Json()));
  }
  return schemas;
}

/// Text that makes calls of the Hermes kind.
inline std::vector<Transcript> hermes_transcripts() {
  using server::ReplyEnd;
  constexpr auto kHermes = server::CallFormat::kHermes;
  constexpr auto kIn = server::ThinkingStart::kInside;
  constexpr auto kOut = server::ThinkingStart::kOutside;
  return {
      {"plain text", {}, kHermes, "Hello <b>there</b>, a < b.\n", {"", "Hello <b>there</b>, a < b.\n", {}}},
      {"one call", {}, kHermes, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>",
       {"", "", {{"get_weather", "{\"city\": \"Paris\"}"}}}},
      {"text before a call", {}, kHermes,
       "Let me look.\n\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", {"", "Let me look.", {{"now", "{}"}}}},
      {"two calls and white space between", {}, kHermes,
       "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n \n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": "
       "{\"city\": \"Bonn\"}}\n</tool_call>\n",
       {"", "", {{"now", "{}"}, {"get_weather", "{\"city\": \"Bonn\"}"}}}},
      {"text around calls", {}, kHermes,
       "a <tool_call>{\"name\":\"now\"}</tool_call> b <tool_call>{\"name\":\"now\"}</tool_call> c",
       {"", "a b c", {{"now", "{}"}, {"now", "{}"}}}},
      {"nested braces and strings with escapes and tags", {}, kHermes,
       "<tool_call>\n{\"name\": \"write_file\", \"arguments\": {\"text\": \"if (a[0]) { \\\"}\\\\\\\" </tool_call> }\", "
       "\"more\": [{\"x\": [1, {\"y\": null}]}, -1.5e3, true]}}\n</tool_call>",
       {"", "",
        {{"write_file", "{\"text\": \"if (a[0]) { \\\"}\\\\\\\" </tool_call> }\", \"more\": [{\"x\": [1, {\"y\": null}]}, -1.5e3, true]}"}}}},
      {"arguments before the name", {}, kHermes,
       "<tool_call>{\"arguments\": {\"city\": \"Ulm\"}, \"name\": \"get_weather\"}</tool_call>",
       {"", "", {{"get_weather", "{\"city\": \"Ulm\"}"}}}},
      {"parameters for arguments, other keys", {}, kHermes,
       "<tool_call>{\"id\": 7, \"name\": \"get_weather\", \"parameters\": {\"city\":\"Köln\"} , \"x\":[\"}\"]}</tool_call>",
       {"", "", {{"get_weather", "{\"city\":\"Köln\"}"}}}},
      {"characters of several bytes", {}, kHermes,
       "天気を見ます🌦\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"東京🗼\"}}\n</tool_call>",
       {"", "天気を見ます🌦", {{"get_weather", "{\"city\": \"東京🗼\"}"}}}},
      {"cut off in the arguments", {}, kHermes, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Par",
       {"", "", {{"get_weather", "{\"city\": \"Par"}}}, ReplyEnd::kCutOff},
      {"cut off in the name", {}, kHermes, "x <tool_call>\n{\"name\": \"get_we", {"", "x <tool_call>\n{\"name\": \"get_we", {}},
       ReplyEnd::kCutOff},
      {"cut off in a tag", {}, kHermes, "see <tool_ca", {"", "see <tool_ca", {}}, ReplyEnd::kCutOff},
      {"no JSON in the tags", {}, kHermes, "Use <tool_call> and </tool_call> so.", {"", "Use <tool_call> and </tool_call> so.", {}}},
      {"a last brace too few", {}, kHermes,
       "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rom\"}\n</tool_call>\nDone.",
       {"", "\nDone.", {{"get_weather", "{\"city\": \"Rom\"}"}}}},
      {"arguments that break", {}, kHermes,
       "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": [1}}</tool_call><tool_call>{\"name\": \"now\"}</tool_call>",
       {"", "", {{"now", "{\"a\": [1"}, {"now", "{}"}}}},
      {"a forgotten closing tag", {}, kHermes,
       "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n",
       {"", "", {{"now", "{}"}, {"now", "{}"}}}},
      {"an object without a name", {}, kHermes, "<tool_call>{\"arguments\": {}}</tool_call>",
       {"", "<tool_call>{\"arguments\": {}}</tool_call>", {}}},
      {"thoughts, then text", kIn, kHermes, "\nHm, <b>.\n\n</think>\n\nHello.\n", {"Hm, <b>.", "Hello.\n", {}}},
      {"thoughts that the reply opens", kOut, kHermes, "\n<think>\n1 < 2\n</think>\nYes", {"1 < 2", "Yes", {}}},
      {"no thoughts", kOut, kHermes, "\n<thin ice> <think> </think>", {"", "\n<thin ice> <think> </think>", {}}},
      {"empty thoughts", kOut, kHermes, "<think>\n\n</think>\n\nYes </think>", {"", "Yes </think>", {}}},
      {"thoughts without an end", kIn, kHermes, "So far\n\n</thi", {"So far\n\n</thi", "", {}}, ReplyEnd::kCutOff},
      {"thoughts, then a call", kIn, kHermes,
       "I need <tool_call> here.\n</think>\n\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
       {"I need <tool_call> here.", "", {{"now", "{}"}}}},
      {"a call in thoughts", kIn, kHermes, "Look.\n\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
       {"Look.", "", {{"now", "{}"}}}},
      {"an empty reply", kIn, kHermes, "", {}},
  };
}

/// Text that makes calls of the Qwen kind.
inline std::vector<Transcript> xml_transcripts() {
  using server::ReplyEnd;
  constexpr auto kXml = server::CallFormat::kQwenXml;
  constexpr auto kIn = server::ThinkingStart::kInside;
  const std::string weather = "<tool_call>\n<function=get_weather>\n";
  const std::string end = "\n</function>\n</tool_call>";
  return {
      {"one call", {}, kXml, weather + "<parameter=city>\nParis\n</parameter>" + end,
       {"", "", {{"get_weather", "{\"city\": \"Paris\"}"}}}},
      {"values by their types", {}, kXml,
       weather + "<parameter=city>\n12\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=exact>\nTrue\n</parameter>\n"
                 "<parameter=share>\n0.50\n</parameter>\n<parameter=tags>\n[\"a\", \"b<c\"]\n</parameter>\n"
                 "<parameter=place>\n{\"x\": 1}\n</parameter>\n<parameter=unit>\nC\n</parameter>\n"
                 "<parameter=limit>\nNone\n</parameter>\n<parameter=note>\nnull\n</parameter>\n<parameter=other>\n7\n</parameter>" +
           end,
       {"", "",
        {{"get_weather",
          "{\"city\": \"12\", \"days\": 3, \"exact\": true, \"share\": 0.50, \"tags\": [\"a\", \"b<c\"], \"place\": {\"x\": 1}, "
          "\"unit\": \"C\", \"limit\": null, \"note\": null, \"other\": \"7\"}"}}}},
      {"values of other types than declared", {}, kXml,
       weather + "<parameter=days>\na \"few\"\n</parameter>\n<parameter=exact>\n1\n</parameter>\n<parameter=note>\nnullify\n"
                 "</parameter>" + end,
       {"", "", {{"get_weather", "{\"days\": \"a \\\"few\\\"\", \"exact\": \"1\", \"note\": \"nullify\"}"}}}},
      {"values that look like tags", {}, kXml,
       "Writing.\n\n<tool_call>\n<function=write_file>\n<parameter=path>\na.xml\n</parameter>\n<parameter=text>\n"
       "<parameter=x>\n1 < 2\n</parameter>\nend </function> \"q\" \\ \t</tool_call>\n\n</parameter>\n</function>\n</tool_call>",
       {"", "Writing.",
        {{"write_file",
          "{\"path\": \"a.xml\", \"text\": \"<parameter=x>\\n1 < 2\\n</parameter>\\nend </function> \\\"q\\\" \\\\ "
          "\\t</tool_call>\\n\"}"}}}},
      {"no parameters, two calls", {}, kXml,
       "<tool_call>\n<function=now>\n</function>\n</tool_call>\n<tool_call>\n<function=now></function></tool_call>",
       {"", "", {{"now", "{}"}, {"now", "{}"}}}},
      {"an empty value and one in a line", {}, kXml,
       "<tool_call>\n<function=write_file>\n<parameter=path>\n</parameter>\n<parameter=text>x y</parameter>" + end,
       {"", "", {{"write_file", "{\"path\": \"\", \"text\": \"x y\"}"}}}},
      {"line ends within a value", {}, kXml,
       "<tool_call>\n<function=write_file>\n<parameter=text>\n\na\n\nb\n\n</parameter>" + end,
       {"", "", {{"write_file", "{\"text\": \"\\na\\n\\nb\\n\"}"}}}},
      {"characters of several bytes", {}, kXml, weather + "<parameter=city>\n東京🗼\n</parameter>" + end,
       {"", "", {{"get_weather", "{\"city\": \"東京🗼\"}"}}}},
      {"cut off in a text", {}, kXml, weather + "<parameter=city>\nPar", {"", "", {{"get_weather", "{\"city\": \"Par"}}},
       ReplyEnd::kCutOff},
      {"cut off in a number", {}, kXml, weather + "<parameter=days>\n12", {"", "", {{"get_weather", "{\"days\": 12"}}},
       ReplyEnd::kCutOff},
      {"cut off behind a value", {}, kXml, weather + "<parameter=city>\nRom\n</parameter>\n",
       {"", "", {{"get_weather", "{\"city\": \"Rom\""}}}, ReplyEnd::kCutOff},
      {"an end without closing tags", {}, kXml, weather + "<parameter=city>\nRom\n</parameter>",
       {"", "", {{"get_weather", "{\"city\": \"Rom\"}"}}}},
      {"a forgotten end of the last value", {}, kXml, weather + "<parameter=city>\nRom" + end + " ok",
       {"", " ok", {{"get_weather", "{\"city\": \"Rom\"}"}}}},
      {"a forgotten end of the function", {}, kXml, weather + "<parameter=city>\nRom\n</parameter>\n</tool_call>\n",
       {"", "", {{"get_weather", "{\"city\": \"Rom\"}"}}}},
      {"text between values", {}, kXml,
       weather + "<parameter=city>\nRom\n</parameter>\n<parameter=days>\n1\n</parameter>\nand so on</function></tool_call>ok",
       {"", "ok", {{"get_weather", "{\"city\": \"Rom\", \"days\": \"1\\n</parameter>\\nand so on\"}"}}}},
      {"a key given twice", {}, kXml,
       weather + "<parameter=city>\nRom\n</parameter>\n<parameter=city>\nBonn\n</parameter>" + end,
       {"", "", {{"get_weather", "{\"city\": \"Rom\"}"}}}},
      {"a call without the outer tag", {}, kXml, "So:\n<function=now>\n</function>", {"", "So:", {{"now", "{}"}}}},
      {"a function nobody declared without the outer tag", {}, kXml, "Use <function=foo> here.", {"", "Use <function=foo> here.", {}}},
      {"no function in the tags", {}, kXml, "Use <tool_call> <fun> so.", {"", "Use <tool_call> <fun> so.", {}}},
      {"an outer tag twice", {}, kXml, "<tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
       {"", "<tool_call>\n", {{"now", "{}"}}}},
      {"thoughts, then a call", kIn, kXml,
       "Which city?\n</think>\n\n" + weather + "<parameter=city>\nRom\n</parameter>" + end,
       {"Which city?", "", {{"get_weather", "{\"city\": \"Rom\"}"}}}},
      {"a call in thoughts", kIn, kXml, "Rom.\n" + weather + "<parameter=city>\nRom\n</parameter>" + end,
       {"Rom.", "", {{"get_weather", "{\"city\": \"Rom\"}"}}}},
  };
}

inline std::vector<Transcript> all_transcripts() {
  std::vector<Transcript> all = hermes_transcripts();
  for (Transcript& one : xml_transcripts()) all.push_back(std::move(one));
  return all;
}

}  // namespace nvllm::testing
