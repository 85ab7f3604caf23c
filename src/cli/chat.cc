#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "cli/command_table.h"
#include "cli/local_model.h"

namespace nvllm::cli {

namespace {

struct ChatFlags {
  LocalModelFlags model;
  std::string system;
  std::int64_t max_tokens = 1024;
  double temperature = 0.7;
};

Json message(std::string_view role, std::string_view content) { return Json{{"role", role}, {"content", content}}; }

/// Reads lines until the end of input; each is a turn. "/reset" forgets the conversation.
int chat(const ChatFlags& flags) {
  LocalModel model(flags.model);
  if (!model.chat_template()) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: has no chat template; use nvllm generate", flags.model.model));
  }
  const bool person = ::isatty(STDIN_FILENO) != 0;
  if (person) fmt::print(stderr, "Type a message; /reset starts over, Ctrl-D ends.\n");
  server::GenerationFields fields;
  fields.max_tokens = flags.max_tokens;
  fields.sampling.temperature = flags.temperature;
  Json messages = Json::array();
  const auto start_over = [&] {
    messages = Json::array();
    if (!flags.system.empty()) messages.push_back(message("system", flags.system));
  };
  start_over();
  std::string line;
  while ((person ? std::fputs("> ", stderr) : 0) >= 0 && std::getline(std::cin, line)) {
    if (line.empty()) continue;
    if (line == "/reset") {
      start_over();
      continue;
    }
    messages.push_back(message("user", line));
    Json variables{{"messages", messages}, {"add_generation_prompt", true},
                   {"bos_token", model.tokenizer().bos_token()}, {"eos_token", model.tokenizer().eos_token()}};
    const std::vector<std::int32_t> prompt =
        tokenizer::encode_pieces(model.tokenizer(), model.chat_template()->render(variables));
    const LocalModel::Answer answer = model.generate(prompt, fields, [](std::string_view text) {
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    });
    std::fputc('\n', stdout);
    messages.push_back(message("assistant", answer.text));
  }
  return kDone;
}

}  // namespace

void configure_chat(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<ChatFlags>();
  add_local_model_flags(app, flags->model);
  app.add_option("--system", flags->system, "A system message");
  app.add_option("--max-tokens", flags->max_tokens, "Tokens of an answer at the most")
      ->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--temperature", flags->temperature, "0 takes the most likely token")
      ->check(CLI::Range(0.0, 2.0))->capture_default_str();
  // Every turn begins with all turns before it.
  flags->model.engine.options.prefix_caching = true;
  action = [flags] { return chat(*flags); };
}

}  // namespace nvllm::cli
