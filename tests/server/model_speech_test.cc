#include "server/model_speech.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "support/served_api.h"

namespace nvllm::server {
namespace {

std::optional<tokenizer::ChatTemplate> corpus_template(const std::string& name) {
  return tokenizer::ChatTemplate(read_file(
      std::string(NVLLM_SOURCE_DIR) + "/tests/fuzz/corpus/chat_template_fuzz/" + name, 1 << 20));
}

std::optional<tokenizer::ChatTemplate> made(const char* text) {
  return tokenizer::ChatTemplate(text);
}

TEST(ModelSpeech, IsWhatTheChatTemplateShows) {
  EXPECT_EQ(to_string(speech_of(corpus_template("qwen35_style.jinja"))),
            "thinking=yes calls=qwen3_xml");
  EXPECT_EQ(speech_of(corpus_template("qwen3_style.jinja")).calls, CallFormat::kHermes);
  EXPECT_EQ(to_string(speech_of(corpus_template("smollm2_style.jinja"))), "thinking=no calls=none");
  EXPECT_EQ(to_string(speech_of(made(nvllm::testing::kChatTemplate))), "thinking=no calls=none");
  EXPECT_EQ(to_string(speech_of({})), "thinking=no calls=none");
}

TEST(ModelSpeech, SeesThoughtsOfEitherPolarity) {
  EXPECT_TRUE(speech_of(made("{% if not (enable_thinking is defined and enable_thinking is false) "
                             "%}<think>\n{% endif %}"))
                  .thinks);
  EXPECT_TRUE(speech_of(made("{% if enable_thinking is defined and enable_thinking is false "
                             "%}<think>\n\n</think>{% endif %}"))
                  .thinks);
  EXPECT_TRUE(speech_of(made("{% if enable_thinking is defined and enable_thinking is true "
                             "%}<think>\n{% endif %}"))
                  .thinks);
}

TEST(ModelSpeech, TakesATemplateThatRefusesCallsForOneWithout) {
  EXPECT_EQ(to_string(speech_of(
                made("{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no') }}"
                     "{% endif %}{% endfor %}<tool_call><function=>"))),
            "thinking=no calls=none");
}

TEST(ModelSpeech, IsWhatFlagsSayWhereTheySayIt) {
  const auto plain = made(nvllm::testing::kChatTemplate);
  EXPECT_EQ(
      to_string(speech_of(plain, {.reasoning_parser = "think", .tool_call_parser = "hermes"})),
      "thinking=yes calls=hermes");
  EXPECT_EQ(
      to_string(speech_of(plain, {.reasoning_parser = "qwen3", .tool_call_parser = "qwen3_coder"})),
      "thinking=yes calls=qwen3_xml");
  EXPECT_EQ(to_string(speech_of(corpus_template("qwen35_style.jinja"),
                                {.reasoning_parser = "none", .tool_call_parser = "none"})),
            "thinking=no calls=none");
  EXPECT_THROW(speech_of(plain, {.reasoning_parser = "auto", .tool_call_parser = "xml"}), Error);
  EXPECT_THROW(speech_of(plain, {.reasoning_parser = "harmony", .tool_call_parser = "auto"}),
               Error);
}

}  // namespace
}  // namespace nvllm::server
