// Renderings against Jinja2: whole templates in the style of four families, and several hundred
// snippets, one for each thing that the language can do or must refuse
// (tools/golden/chat_template.py).

#include <gtest/gtest.h>

#include "base/error.h"
#include "golden_lines.h"
#include "tokenizer/chat_template.h"

namespace nvllm::tokenizer {
namespace {

std::string joined(const std::vector<RenderedPiece>& pieces) {
  std::string text;
  for (const RenderedPiece& piece : pieces) text += piece.text;
  return text;
}

/// The text, or for a failure its kind: "<syntax>" or "<run>".
std::string outcome(const std::string& source, const Json& variables,
                    std::string* message = nullptr) {
  try {
    return joined(ChatTemplate(source).render(variables));
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.kind() == ErrorKind::kBadFile ? "<syntax>" : "<run>";
  }
}

TEST(ChatTemplateGolden, RendersEverySnippetAsJinjaOrFailsWhereJinjaFails) {
  const Json golden = golden_json("templates/snippets.json");
  for (const Json& one : golden.at("cases")) {
    const auto source = one.at("template").get<std::string>();
    std::string message;
    const std::string got = outcome(source, golden.at("variables"), &message);
    if (one.contains("text")) {
      EXPECT_EQ(got, one.at("text").get<std::string>()) << source << "\n" << message;
    } else {
      // We refuse unknown filters and tests when parsing; Jinja does too. A failure is what counts.
      EXPECT_TRUE(got == "<syntax>" || got == "<run>") << source << " gave " << got;
    }
  }
}

TEST(ChatTemplateGolden, RendersWholeConversationsAsJinja) {
  const Json golden = golden_json("templates/chats.json");
  for (const Json& one : golden.at("chats")) {
    const auto name = one.at("template").get<std::string>();
    const std::string source = read_file(kGolden / "templates" / name, 1 << 20);
    Json variables = {
        {"messages", golden.at("conversations").at(one.at("conversation").get<std::size_t>())},
        {"add_generation_prompt", one.at("prompt")},
        {"bos_token", "<|begin_of_text|>"},
        {"eos_token", "<|im_end|>"}};
    if (one.at("tools").get<bool>()) variables["tools"] = golden.at("tools");
    for (const auto& [key, value] : one.at("extra").items()) variables[key] = value;
    // Jinja's strftime_now was given this day; ours takes it from date_string, so templates that
    // ask for the date are compared only where they are told it.
    if (name == "llama3_style.jinja" && !variables.contains("date_string")) continue;
    std::string message;
    const std::string got = outcome(source, variables, &message);
    const std::string what =
        name + " conversation " + dump_json(one.at("conversation")) + ": " + message;
    if (one.contains("text")) {
      EXPECT_EQ(got, one.at("text").get<std::string>()) << what;
    } else {
      EXPECT_EQ(got, "<run>") << what;
      if (one.contains("message") && one.at("message").get<std::string>().ends_with(".")) {
        EXPECT_EQ(message, one.at("message").get<std::string>());
      }
    }
  }
}

}  // namespace
}  // namespace nvllm::tokenizer
