// Renderings against Jinja2: whole templates in the style of six families and one that uses the
// rest of the language, each on 200 generated conversations, and several hundred snippets, one for
// each thing that the language can do or must refuse (tools/golden/chat_template.py).

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/hashing.h"
#include "golden_lines.h"
#include "tokenizer/chat_template.h"

namespace nvllm::tokenizer {
namespace {

/// The day that Jinja's strftime_now was given.
constexpr std::chrono::sys_seconds kDay =
    std::chrono::sys_days(std::chrono::year(2024) / std::chrono::July / 26);

std::string joined(const std::vector<RenderedPiece>& pieces) {
  std::string text;
  for (const RenderedPiece& piece : pieces) text += piece.text;
  return text;
}

/// The text, or for a failure its kind: "<syntax>" or "<run>".
std::string outcome(const std::string& source, const Json& variables,
                    std::string* message = nullptr) {
  try {
    return joined(ChatTemplate(source).render(variables, kDay));
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

TEST(ChatTemplateGolden, RendersOrRefusesGeneratedConversationsAsJinjaByEveryTemplate) {
  const Json conversations = golden_json("templates/conversations.json");
  const Json golden = golden_json("templates/renderings.json");
  ASSERT_GE(golden.at("hashes").size(), 7u);
  for (const auto& [name, hashes] : golden.at("hashes").items()) {
    const std::string source = read_file(kGolden / "templates" / name, 1 << 20);
    const Json& texts = golden.at("texts").at(name);
    ASSERT_EQ(hashes.size(), conversations.size());
    int wrong = 0;
    int rendered = 0;
    for (std::size_t i = 0; i < conversations.size(); ++i) {
      std::string message;
      const std::string got = outcome(source, conversations.at(i), &message);
      const auto want = hashes.at(i).get<std::string>();
      const std::string hash = message.empty() ? sha256_hex(got).substr(0, want.size()) : "refused";
      const std::string index = std::to_string(i);
      if (texts.contains(index)) {
        EXPECT_EQ(got, texts.at(index).get<std::string>()) << name;
      }
      rendered += want == "refused" ? 0 : 1;
      if (hash == want) continue;
      ++wrong;
      // Jinja's own text: tools/golden/chat_template.py tests/tokenizer/golden/templates NAME INDEX
      if (wrong == 1) {
        ADD_FAILURE() << name << " " << index << ": " << message << "\ngives\n" << got;
      }
    }
    EXPECT_GE(rendered, 200) << name;
    EXPECT_EQ(wrong, 0) << name << ", of " << conversations.size();
  }
}

}  // namespace
}  // namespace nvllm::tokenizer
