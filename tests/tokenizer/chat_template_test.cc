#include "tokenizer/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support.h"

namespace nvllm::tokenizer {
namespace {

using Ids = std::vector<std::int32_t>;

std::string text_of(const std::vector<RenderedPiece>& pieces) {
  std::string text;
  for (const RenderedPiece& piece : pieces) text += piece.text;
  return text;
}

std::string user_text_of(const std::vector<RenderedPiece>& pieces) {
  std::string text;
  for (const RenderedPiece& piece : pieces) text += piece.from_user ? piece.text : "";
  return text;
}

/// Renders with one user message of this content.
std::vector<RenderedPiece> render(const std::string& source, const std::string& content) {
  return ChatTemplate(source).render(
      {{"messages", {{{"role", "user"}, {"content", content}}}}, {"bos_token", "<|end|>"}});
}

/// One user's string `m` through one expression.
std::string user_part(const std::string& expression, const std::string& content) {
  return user_text_of(
      render("{% set m = messages[0].content %}[{{ " + expression + " }}]", content));
}

TEST(ChatTemplate, RendersTheDemoModelsTemplate) {
  const auto chat = ChatTemplate::load(kGolden / "demo");
  ASSERT_TRUE(chat.has_value());
  const auto pieces = chat->render(
      {{"messages", {{{"role", "user"}, {"content", "1+1?"}}}}, {"add_generation_prompt", true}});
  EXPECT_EQ(text_of(pieces), "<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(user_text_of(pieces), "user1+1?");
}

TEST(ChatTemplate, IsAbsentWhereNoFileHoldsOne) {
  EXPECT_FALSE(ChatTemplate::load(kGolden / "qwen3").has_value());
  EXPECT_FALSE(ChatTemplate::load("/nowhere").has_value());
}

TEST(ChatTemplate, IsReadFromTheConfigAsTextOrAsTheDefaultOfAList) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("nvllm-template-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const auto load = [&](const std::string& config) {
    write_file_atomically(folder / "tokenizer_config.json", config);
    const auto chat = ChatTemplate::load(folder);
    return chat ? text_of(chat->render(Json::object())) : "<none>";
  };
  EXPECT_EQ(load(R"({"chat_template":"a{{ 1 }}"})"), "a1");
  EXPECT_EQ(
      load(
          R"({"chat_template":[{"name":"x","template":"no"},{"name":"default","template":"yes"}]})"),
      "yes");
  EXPECT_EQ(load(R"({"chat_template":null})"), "<none>");
  expect_refusal([&] { load(R"({"chat_template":7})"); }, ErrorKind::kBadFile, {"chat_template"});
  expect_refusal([&] { load(R"({"chat_template":"a\n{% if %}"})"); }, ErrorKind::kBadFile,
                 {"line 2"});
  write_file_atomically(folder / "chat_template.jinja", "from the file");
  EXPECT_EQ(load(R"({"chat_template":"from the config"})"), "from the file");
  std::filesystem::remove_all(folder);
}

TEST(ChatTemplate, OriginIsKeptThroughEveryOperation) {
  EXPECT_EQ(user_part("m", "abc"), "abc");
  EXPECT_EQ(user_part("'x' + m + 'y'", "abc"), "abc");
  EXPECT_EQ(user_part("'x' ~ m ~ 1", "abc"), "abc");
  EXPECT_EQ(user_part("m[1:]", "abc"), "bc");
  EXPECT_EQ(user_part("m[::-1]", "abc"), "cba");
  EXPECT_EQ(user_part("m[0] ~ m[-1]", "abc"), "ac");
  EXPECT_EQ(user_part("('<' + m + '>')[1:3]", "abc"), "ab");
  EXPECT_EQ(user_part("(' ' + m + ' ')|trim", " abc "), "abc");
  EXPECT_EQ(user_part("m|upper", "abc"), "ABC");
  EXPECT_EQ(user_part("m.strip().title()", " abc "), "Abc");
  EXPECT_EQ(user_part("m.split(',')|join(';')", "a,b"), "ab");
  EXPECT_EQ(user_part("m.split(',')[-1].lstrip('x')", "a,xb"), "b");
  EXPECT_EQ(user_part("m.replace('b', 'B')", "abc"), "ac");
  EXPECT_EQ(user_part("'a-b'.replace('-', m)", "abc"), "abc");
  EXPECT_EQ(user_part("m * 2", "ab"), "abab");
  EXPECT_EQ(user_part("m|indent(2)", "a\nb"), "ab");
  EXPECT_EQ(user_part("m|string|safe|default('x')", "ab"), "ab");
  EXPECT_EQ(user_part("m|escape", "a<"), "a");
  EXPECT_EQ(user_part("m|list|join", "ab"), "ab");
  EXPECT_EQ(user_part("m|first ~ m|last", "ab"), "ab");
  EXPECT_EQ(user_part("m if m else 'x'", "ab"), "ab");
  EXPECT_EQ(user_part("{'k': m}.k", "ab"), "ab");
  EXPECT_EQ(user_part("[m, 'x'][0]", "ab"), "ab");
  EXPECT_EQ(user_part("m|tojson", "ab"), "\"ab\"");
  EXPECT_EQ(user_part("[m]", "ab"), "['ab']");
  EXPECT_EQ(user_part("messages|tojson", "ab"), R"([{"role": "user", "content": "ab"}])");
  EXPECT_EQ(user_part("namespace(x=m).x", "ab"), "ab");
  EXPECT_EQ(user_part("bos_token", "ab"), "") << "other variables are the template's";
  EXPECT_EQ(user_text_of(render(
                "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(messages[0].content)|trim }}", "ab")),
            "ab");
  EXPECT_EQ(
      user_text_of(render("{% set a %}<{{ messages[0].content }}>{% endset %}{{ a|upper }}", "ab")),
      "AB");
  EXPECT_EQ(
      user_text_of(render("{% for k, v in messages[0]|items %}{{ k }}={{ v }};{% endfor %}", "ab")),
      "roleusercontentab");
  EXPECT_EQ(user_text_of(render(
                "{% filter replace('x', 'y') %}x{{ messages[0].content }}{% endfilter %}", "ab")),
            "ab");
}

/// Every place of a conversation where a request may put a string.
std::vector<Json> conversations_with(const std::string& text) {
  const Json user = {{"role", "user"}, {"content", "hi"}};
  const auto conversation = [&](Json message) {
    return Json{{"messages", Json::array({user, std::move(message), user})},
                {"add_generation_prompt", true}};
  };
  const auto call = [&](Json function) {
    return conversation({{"role", "assistant"},
                         {"content", "c"},
                         {"tool_calls", Json::array({{{"function", std::move(function)}}})}});
  };
  std::vector<Json> all = {
      conversation({{"role", "user"}, {"content", text}}),
      conversation({{"role", "assistant"}, {"content", text}}),
      conversation({{"role", "assistant"}, {"content", "<think>" + text + "</think>" + text}}),
      conversation({{"role", "assistant"}, {"content", "x"}, {"reasoning_content", text}}),
      conversation({{"role", "tool"}, {"content", text}}),
      conversation(
          {{"role", "user"}, {"content", Json::array({{{"type", "text"}, {"text", text}}})}}),
      call({{"name", text}, {"arguments", Json::object()}}),
      call({{"name", "f"}, {"arguments", {{text, "value"}}}}),
      call({{"name", "f"}, {"arguments", {{"key", text}}}}),
      call({{"name", "f"}, {"arguments", {{"key", Json::array({{{text, text}}})}}}}),
      {{"messages", Json::array({{{"role", "system"}, {"content", text}}, user})}},
      {{"messages", Json::array({{{"role", text}, {"content", "x"}}, user})}},
      {{"messages", Json::array({user})}, {"tools", Json::array({{{"name", text}, {text, text}}})}},
      {{"messages", Json::array({user})}, {"documents", Json::array({{{"text", text}}})}},
  };
  return all;
}

TEST(ChatTemplate, NoFieldOfARequestCanBecomeAControlToken) {
  for (const char* family : {"qwen35", "llama3", "demo"}) {
    const Tokenizer tokenizer = Tokenizer::load(kGolden / family);
    for (const char* name : {"demo", "qwen3_style", "qwen35_style", "llama3_style", "smollm2_style",
                             "mistral_style", "deepseek_style"}) {
      const ChatTemplate chat(
          read_file(kGolden / "templates" / (std::string(name) + ".jinja"), 1 << 20), name);
      const auto controls = [&](const Json& variables) -> std::optional<Ids> {
        try {
          Ids found;
          for (const std::int32_t id : encode_pieces(tokenizer, chat.render(variables))) {
            if (tokenizer.is_special(id)) found.push_back(id);
          }
          return found;
        } catch (const Error&) {
          return std::nullopt;  // the template refuses such a conversation, or the role
        }
      };
      for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
        if (!tokenizer.is_special(id)) continue;
        const auto plain = conversations_with("plain");
        const auto hostile = conversations_with(std::string(tokenizer.bytes(id)));
        for (std::size_t i = 0; i < plain.size(); ++i) {
          EXPECT_EQ(controls(hostile[i]), controls(plain[i]))
              << name << " " << tokenizer.bytes(id) << " in " << i;
        }
      }
    }
  }
}

TEST(ChatTemplate, PiecesEncodeAsTheWholeTextWhereNoUserTextSpellsAToken) {
  const Json golden = golden_json("templates/chats.json");
  for (const char* family : {"qwen3", "qwen35", "llama3", "smollm2", "demo"}) {
    const Tokenizer tokenizer = Tokenizer::load(kGolden / family);
    for (const char* name : {"demo", "qwen3_style", "qwen35_style", "llama3_style", "smollm2_style",
                             "mistral_style", "deepseek_style"}) {
      const ChatTemplate chat(
          read_file(kGolden / "templates" / (std::string(name) + ".jinja"), 1 << 20), name);
      for (const Json& messages : golden.at("conversations")) {
        if (dump_json(messages).find('<') != std::string::npos) continue;
        std::vector<RenderedPiece> pieces;
        try {
          pieces = chat.render({{"messages", messages},
                                {"add_generation_prompt", true},
                                {"bos_token", "<|im_end|>"}});
        } catch (const Error&) {
          continue;
        }
        EXPECT_EQ(encode_pieces(tokenizer, pieces), tokenizer.encode(text_of(pieces))) << name;
      }
    }
  }
}

TEST(ChatTemplate, RaiseExceptionGivesTheTemplatesOwnWords) {
  expect_refusal([] { ChatTemplate("{{ raise_exception('no ' ~ 1) }}").render(Json::object()); },
                 ErrorKind::kUsage, {"no 1"});
}

TEST(ChatTemplate, ErrorsNameTheTemplateAndTheLine) {
  expect_refusal([] { ChatTemplate("a\n\n{{ x.y.z }}", "t.jinja").render(Json::object()); },
                 ErrorKind::kUsage, {"t.jinja", "line 3", "'x' is undefined"});
  expect_refusal([] { ChatTemplate("a\n{{ x | nothing }}", "t.jinja"); }, ErrorKind::kBadFile,
                 {"t.jinja", "line 2", "nothing"});
  for (const char* tag : {"include 'x'", "import 'x' as y", "extends 'x'", "block x", "call m()",
                          "do x", "autoescape true"}) {
    expect_refusal([&] { ChatTemplate(std::string("{% ") + tag + " %}"); }, ErrorKind::kBadFile,
                   {"line 1", "not supported"});
  }
  expect_refusal([] { ChatTemplate("{% for x in y recursive %}{% endfor %}"); },
                 ErrorKind::kBadFile, {"recursive"});
  expect_refusal([] { ChatTemplate("{% for x in y %}{% macro m() %}{% endmacro %}{% endfor %}"); },
                 ErrorKind::kBadFile, {"macro"});
  expect_refusal([] { ChatTemplate("\xff"); }, ErrorKind::kBadFile, {"UTF-8"});
}

TEST(ChatTemplate, EveryBudgetEndsARunawayTemplate) {
  const auto refuses = [](const std::string& source, const char* word) {
    expect_refusal(
        [&] {
          ChatTemplate(source).render(
              {{"messages", {{{"role", "user"}, {"content", std::string(100'000, 'a')}}}}});
        },
        ErrorKind::kUsage, {word});
  };
  refuses("{% for a in range(2000) %}{% for b in range(2000) %}{% endfor %}{% endfor %}", "steps");
  refuses("{% for a in range(100) %}{{ messages[0].content }}{% endfor %}", "over 4194304 bytes");
  refuses(
      "{% set ns = namespace(x='ab') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% "
      "endfor %}",
      "bytes of text");
  refuses("{{ 'x' * 1000000000 }}", "bytes of text");
  refuses(
      "{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% "
      "endfor %}",
      "steps");
  refuses(
      "{% set ns = namespace(x=[]) %}{% for a in range(200) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "nested too deep");
  refuses("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deep");
  refuses("{% for a in range(9999) %}{{ messages[0].content in messages[0].content }}{% endfor %}",
          "bytes of text");
  refuses("{{ range(1000000) }}", "range");
  refuses("{{ 9223372036854775807 + 1 }}", "out of range");
  refuses("{{ 2 ** 64 }}", "out of range");
}

TEST(ChatTemplate, DeepSourceIsRefusedWhenItIsParsed) {
  const auto repeated = [](std::string_view part, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += part;
    return text;
  };
  for (const std::string& source :
       {"{{ " + repeated("(", 100'000) + repeated(")", 100'000) + " }}",
        "{{ " + repeated("[", 100'000) + repeated("]", 100'000) + " }}",
        "{{ " + repeated("not ", 100'000) + "1 }}", "{{ 1" + repeated(" + 1", 100'000) + " }}",
        "{{ x" + repeated(".a", 100'000) + " }}", "{{ x" + repeated("|trim", 100'000) + " }}",
        "{{ " + repeated("-", 100'000) + "1 }}", repeated("{% if 1 %}", 50'000),
        repeated("{% for a in b %}", 50'000), "{{ 1" + repeated(" if 1 else 1", 50'000) + " }}",
        "{{ x" + repeated("()", 100'000) + " }}"}) {
    expect_refusal([&] { ChatTemplate chat(source); }, ErrorKind::kBadFile, {"deep"});
  }
}

TEST(ChatTemplate, DeepInputIsRefused) {
  Json deep = 1;
  for (int i = 0; i < 200; ++i) deep = Json::array({deep});
  expect_refusal(
      [&] {
        ChatTemplate("x").render({{"messages", deep}});
      },
      ErrorKind::kUsage, {"messages", "deep"});
  expect_refusal([&] { ChatTemplate("x").render(Json::array()); }, ErrorKind::kUsage, {"object"});
}

TEST(ChatTemplate, TheDateIsThatOfDateStringInBothSpellings) {
  const ChatTemplate chat("{{ strftime_now('%d %B %Y, %A') }}");
  EXPECT_EQ(text_of(chat.render({{"date_string", "26 Jul 2024"}})), "26 July 2024, Friday");
  EXPECT_EQ(text_of(chat.render({{"date_string", "2024-02-29"}})), "29 February 2024, Thursday");
  EXPECT_FALSE(text_of(chat.render(Json::object())).empty());
  const std::chrono::sys_seconds now =
      std::chrono::sys_days(std::chrono::year(2031) / std::chrono::March / 2);
  EXPECT_EQ(text_of(chat.render(Json::object(), now)), "02 March 2031, Sunday");
}

TEST(ChatTemplate, NothingOfTheHostIsReachable) {
  for (const char* source : {"{{ ''.__class__.__mro__ }}", "{{ messages.__class__() }}",
                             "{{ [].append(1) }}", "{{ {}.update({}) }}", "{{ self.x }}",
                             "{{ ''.format(1) }}", "{{ cycler('a') }}", "{{ lipsum() }}"}) {
    try {
      const std::string text = text_of(ChatTemplate(source).render({{"messages", Json::array()}}));
      EXPECT_EQ(text, "") << source;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage) << source;
    }
  }
}

}  // namespace
}  // namespace nvllm::tokenizer
